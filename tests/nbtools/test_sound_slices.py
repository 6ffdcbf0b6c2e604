"""A worker made with `--with-deps` gives the value that its notebook gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbtools.exporter import Exported, export_notebook

Write = Callable[..., Path]

# Unmarked cells, and the marked one whose name `Y` the handler returns.
CHANGES = {
    "a method inside of an assignment": ["s = set()", "x = s.add(1)", "+Y = sorted(s)"],
    "a chain of calls": [
        ("class M:\n n = 0\n def fit(self, a): self.n += a; return self\n"
         " def score(self): pass\nm = M()"),
        "t = m.fit(2).score()",
        "+Y = m.n",
    ],
    "pop": ["rows = [1, 2, 3]", "last = rows.pop()", "+Y = rows"],
    "next": ["it = iter([1, 2, 3])", "first = next(it)", "+Y = list(it)"],
    "a loop over an iterator": ["it = iter([1, 2, 3])", "for x in it:\n  break", "+Y = list(it)"],
    "list of an iterator": ["it = map(int, '12')", "seen = list(it)", "+Y = list(it)"],
    "a generator of one's own": [
        "def g():\n  yield 1\n  yield 2\nit = g()", "seen = sum(it)", "+Y = list(it)"],
    "a function that changes its argument": [
        "def add(rows): rows.append(1)\nrows = []", "add(rows)", "+Y = rows"],
    "by keyword": ["def add(n, rows): rows.append(n)\nrows = []", "add(1, rows=rows)", "+Y = rows"],
    "through two functions": [
        "def inner(r): r.append(1)\ndef outer(r): inner(r)\nrows = []", "outer(rows)", "+Y = rows"],
    "items of a loop": ["rows = [{}]", "for r in rows: r['b'] = 1", "+Y = rows"],
    "items of a numbered loop": [
        "rows = [{}]", "for i, r in enumerate(rows): r['b'] = i", "+Y = rows"],
    "an alias": ["a = []\nb = a", "b.append(1)", "+Y = a"],
    "an alias of an alias": ["a = []\nb = a\nc = b", "c.append(1)", "+Y = a"],
    "a part": ["a = {'x': []}\nb = a['x']", "b.append(1)", "+Y = a"],
    "an added alias": ["a = []\nb = a", "b += [1]", "+Y = a"],
    "two names at once": ["a = b = []", "b.append(1)", "+Y = a"],
    "a swap": ["a = []\nb, c = a, 1", "b.append(1)", "+Y = a"],
    "setdefault and append": ["d = {}", "d.setdefault('k', []).append(1)", "+Y = d"],
    "what setdefault returned": ["d = {}\nv = d.setdefault('k', [])", "v.append(1)", "+Y = d"],
    "global": ["n = 0\ndef up():\n  global n\n  n += 1", "up()", "+Y = n"],
    "a global list": ["n = []\ndef up(): n.append(1)", "up()", "+Y = n"],
    "a method patched onto a class": [
        "class A:\n  def f(self): return 1", "A.f = lambda self: 2", "+Y = A().f()"],
    "an attribute of a function": ["def f(): return f.n", "f.n = 3", "+Y = f()"],
    "a decorator that registers": [
        "R = {}\ndef register(f):\n  R[f.__name__] = f\n  return f",
        "@register\ndef one(): return 1",
        "+Y = sorted(R)",
    ],
    "a decorator with arguments": [
        "R = {}\ndef register(name):\n  def keep(f):\n    R[name] = f\n    return f\n  return keep",
        "@register('one')\ndef f(): return 1",
        "+Y = sorted(R)",
    ],
    "a closure": [
        ("def make():\n  s = []\n  def add(x): s.append(x); return list(s)\n"
         "  return add\nadd = make()"),
        "add(1)",
        "+Y = add(2)",
    ],
    "random.seed": ["import random", "random.seed(3)", "+import random\nY = random.random()"],
    "an earlier draw": [
        "import random\nrandom.seed(3)", "x = random.random()", "+Y = random.random()"],
    "numpy's seed": ["import numpy as np", "np.random.seed(3)", "+Y = float(np.random.rand())"],
    "numpy's generator": [
        "import numpy as np\nrng = np.random.default_rng(1)", "x = rng.random(3)",
        "+Y = float(rng.random())"],
    "the environment": ["import os", "os.environ['NQ_T'] = 'x'", "+Y = os.environ.get('NQ_T')"],
    "an option": [
        "import pandas as pd", "pd.set_option('display.max_rows', 7)",
        "+Y = pd.get_option('display.max_rows')"],
    "an option by attribute": [
        "import pandas as pd", "pd.options.display.max_rows = 8",
        "+Y = pd.options.display.max_rows"],
    "a column": [
        "import pandas as pd\ndf = pd.DataFrame({'a': [1]})", "df['b'] = 2",
        "+Y = list(df.columns)"],
    "in place": [
        "import pandas as pd\ndf = pd.DataFrame({'a': [2, 1]})",
        "df.insert(0, 'b', 1)", "+Y = list(df.columns)"],
    "a view": ["import numpy as np\na = np.zeros(2)\nv = a[:1]", "v[0] = 5", "+Y = a.tolist()"],
    "out": [
        "import numpy as np\na = np.zeros(2)", "np.add(a, 1, out=a)", "+Y = a.tolist()"],
    "a scaler": [
        "from sklearn.preprocessing import StandardScaler\nscaler = StandardScaler()",
        "X = scaler.fit_transform([[0.0], [2.0]])", "+Y = scaler.transform([[4.0]]).tolist()"],
    "an exported list that an unmarked cell changes": ["pass", "+L = []", "L.append(1)", "+Y = L"],
    "an exported name that an unmarked cell binds anew": ["pass", "+n = 1", "n = 2", "+Y = n"],
    "a function called before its name changes": [
        "import math\ndef f(x): return math.sqrt(x)\ny = f(4)", "import math\nz = math.pi",
        "+Y = y"],
    "a name that the function had then": [
        "k = 1\ndef f(): return k", "y = f()", "k = 2", "+Y = y"],
    "a deletion": ["d = {'a': 1, 'b': 2}", "del d['a']", "+Y = d"],
    "a comprehension that changes": [
        "rows = [{}]", "_ = [r.update(a=1) for r in rows]", "+Y = rows"],
    "setattr": ["class A: pass\na = A()", "setattr(a, 'n', 1)", "+Y = a.n"],
    "heapq": ["import heapq\nh = [3, 1]", "heapq.heapify(h)", "+Y = h"],
    "a with": [
        "import contextlib, io\nbuffer = io.StringIO()",
        "with contextlib.redirect_stdout(buffer): print('x')", "+Y = buffer.getvalue()"],
    "sys.path": ["import sys", "sys.path.append('/nq')", "+Y = '/nq' in sys.path"],
    "a context": [
        "import decimal", "decimal.getcontext().prec = 5", "+Y = decimal.getcontext().prec"],
    "a dunder of an instance": [
        "class A:\n  def __init__(self): self.n = []\n  def add(self): self.n.append(1)\na = A()",
        "a.add()", "+Y = a.n"],
    "a list in an object": [
        "class A:\n  def __init__(self, n): self.n = n\nn = []\na = A(n)",
        "a.n.append(1)", "+Y = n"],
    "a list in a list": ["n = []\nm = [n]", "m[0].append(1)", "+Y = n"],
    "functools.partial": [
        ("from functools import partial\ndef add(r, x): r.append(x)\n"
         "rows = []\np = partial(add, rows)"),
        "p(1)", "+Y = rows"],
    "a name in a query": [
        "import pandas as pd\ndf = pd.DataFrame({'a': [1, 5]})", "cut = 3",
        "+Y = df.query('a > @cut')['a'].tolist()",
    ],
    "a lambda": ["rows = []\nadd = lambda x: rows.append(x)", "add(1)", "+Y = rows"],
    "map over a method": ["rows = []", "list(map(rows.append, [1]))", "+Y = rows"],
    "a function given to apply": [
        "import pandas as pd\nseen = []\ndef see(x): seen.append(x)",
        "pd.Series([1]).apply(see)", "+Y = seen"],
}  # fmt: skip


@pytest.fixture
def made(write_notebook: Write) -> Callable[[list[str]], tuple[Any, Exported, Any]]:
    """Return a function that gives the notebook's value, the export and the worker's value."""

    def make(cells: list[str]) -> tuple[Any, Exported, Any]:
        space: dict[str, Any] = {"__name__": "notebook"}
        for cell in cells:
            exec(cell.removeprefix("+"), space)
        path = write_notebook(
            *(("nq-export" if cell[0] == "+" else "", cell.removeprefix("+")) for cell in cells)
        )
        exported = export_notebook(path, with_deps=True)
        worker: dict[str, Any] = {"__name__": "worker"}
        try:
            exec(compile(exported.text, "worker.py", "exec", dont_inherit=True), worker)
        except Exception as error:  # noqa: BLE001 that, too, is no value of the notebook's
            return space["Y"], exported, error
        return space["Y"], exported, worker["Y"]

    return make


@pytest.mark.parametrize("name", CHANGES)
def test_the_worker_has_the_value_of_the_notebook(name: str, made: Callable[..., Any]) -> None:
    notebook, exported, worker = made(CHANGES[name])

    assert worker == notebook, inspect.cleandoc(exported.text)
