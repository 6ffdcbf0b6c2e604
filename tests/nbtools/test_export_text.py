"""The text of an export, for any code: verbatim, mapped back, and never run."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtools import where
from nbtools.errors import ExportError
from nbtools.exporter import export_notebook, render_notebook, where_in
from nbtools.notebook import Cell, Notebook

CONFIG = Cell(1, "code", "config = {}", ("nq-config",), {}, None)
HANDLER = Cell(2, "code", "def handler(job, ctx): ...", ("nq-handler",), {}, None)

# Statements with what editors, regular expressions and `splitlines` get wrong.
_PIECES = st.sampled_from(
    [
        "x = 1",
        "",
        "   ",
        "# %% nq: cell 9, export, 00000000",
        "# %% nq1: entry",
        "# %%",
        "y = '\u2028 \x85 \x0b \x1c'",
        "z = 'a\x0cb'",
        '"""\n# %% nq: entry\n%run x\n"""',
        "'''\n\n'''",
        "if True:\n\tw = 1",
        "\x0cv = 2",
        "u = [\n  1,\n]  # ]",
        "t = 7 \\\n  % 3",
        "s = 'é日本🎉'  # \u202e",
        "@print\ndef f(): ...",
        "import os; r = os",
        "q = r'\\''",
        "#| nq: export",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(_PIECES, max_size=5).map("\n".join), max_size=4), st.sampled_from(["", "\n"])
)
def test_cells_are_verbatim_and_every_line_finds_its_way_back(sources: list[str], end: str) -> None:
    """Exporter R3, R14: the bytes of each cell, and the map from the text alone."""
    sources = [source + end for source in sources]
    cells = [
        Cell(number, "code", source, ("nq-export",), {}, None)
        for number, source in enumerate(sources, 3)
    ]
    exported = render_notebook(Notebook("job.ipynb", (CONFIG, HANDLER, *cells)))
    compile(exported.text, "<worker>", "exec", dont_inherit=True)  # exporter R4
    lines = exported.text.split("\n")
    seen: dict[int, list[str]] = {cell.number: [] for cell in cells}
    for number, line in enumerate(lines, 1):
        place = where_in(exported.text, number)
        is_cell = place is not None and place.cell in seen
        assert is_cell == (exported.places.get(number, (0, 0))[0] in seen)
        if place and place.cell in seen:
            assert exported.places[number] == (place.cell, place.line)
            assert place.line == len(seen[place.cell]) + 1
            seen[place.cell].append(line)
    assert ["\n".join(text) for text in seen.values()] == sources


def test_the_line_map_is_asked_by_file_and_line(write_notebook: Callable[..., Path]) -> None:
    notebook = write_notebook(("nq-export", "\nA = 1\n\nB = 2"))
    worker = notebook.with_suffix(".py")
    worker.write_text(export_notebook(notebook).text)
    number = worker.read_text().split("\n").index("B = 2") + 1
    assert str(where(worker, number)) == "job.ipynb, cell 2, line 4"
    assert where(worker, 1) is None
    assert where(worker, 10_000) is None
    assert where(worker, 0) is None
    notebook_place = where(worker, worker.read_text().split("\n").index("config = {") + 1)
    assert notebook_place
    assert notebook_place[:3] == ("job.ipynb", 1, 1)
    worker.write_text("x = 1\n")
    assert where(worker, 1) is None


@pytest.mark.parametrize(
    "name",
    ["coding: latin-1.ipynb", "a\nimport os.ipynb", "\u202egnp.ipynb", '"""; x.ipynb', "-*-.ipynb"],
)
def test_a_name_of_a_notebook_stays_inside_its_comment(
    name: str, write_notebook: Callable[..., Path]
) -> None:
    """Faults 105."""
    exported = export_notebook(write_notebook(name=name), stem="job")
    assert exported.text.isascii() or exported.text.split("\n")[2].isprintable()
    assert exported.text.split("\n")[2].startswith("# notebook: ")
    assert exported.text.split("\n")[3].startswith("# %% nq: config of cell 1")
    assert ast.parse(exported.text.encode()).body[0].lineno == 5


def test_the_text_does_not_depend_on_hash_seed_locale_or_folder(
    write_notebook: Callable[..., Path],
) -> None:
    """Exporter R16."""
    notebook = write_notebook(("nq-export", "NAME = 'é'"))
    texts = set()
    for seed, locale in (("0", "C"), ("1", "C.UTF-8")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "LC_ALL": locale}
        command = [sys.executable, "-m", "nbtools.cli", "--stdout", str(notebook)]
        done = subprocess.run(
            command,
            capture_output=True,
            cwd=notebook.parent,
            env=environment,
            check=True,
            timeout=30,
        )
        texts.add(done.stdout)
    assert texts == {export_notebook(notebook).text.encode()}


_AUDITED = """
import sys
touched = []
def hook(event, args):
    if event == "exec" and args[0].co_filename in {"<cell>", "<unknown>", "<string>"}:
        touched.append(event)
    if event in {"subprocess.Popen", "os.system", "os.exec", "os.fork", "socket.connect"}:
        touched.append(event)
    if event == "import" and args[0].startswith(("evil", "local_sibling")):
        touched.append(args[0])
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        touched.append(args[0])
import nuxt_queue.config
from nbtools.exporter import export_notebook
from nbtools.errors import NbtoolsError
sys.addaudithook(hook)
verdicts = []
for path in sys.argv[1:]:
    try:
        export_notebook(path)
        verdicts.append("ok")
    except NbtoolsError:
        verdicts.append("refused")
unwanted = {"nbformat", "nbconvert", "IPython", "jupyter_core", "evil", "sitecustomize_evil"}
print(verdicts, touched, sorted(unwanted & set(sys.modules)))
"""

_HOSTILE = [
    "open('canary', 'w')",
    "import evil",
    "__import__('os').system('touch canary')",
    "!touch canary",
    "%%bash\ntouch canary",
    "%run evil.py",
    "get_ipython().system('touch canary')",
    "#| default_exp evil\n_all_ = [open('canary', 'w')]",
    "#| eval: true\nopen('canary', 'w')",
    "class A(metaclass=open('canary', 'w')): ...",
    "@open('canary', 'w')\ndef f(): ...",
    "def f(x=open('canary', 'w')): ...",
    "x: open('canary', 'w') = 1",
    'f\'{open("canary", "w")}\'',
    "assert open('canary', 'w')",
    "config = __import__('evil')",
    "# -*- coding: evil -*-",
    "from evil import *",
    "import local_sibling",
    "'%s' % open('canary', 'w')",
    "raise SystemExit(open('canary', 'w'))",
    "lambda: open('canary', 'w')",
    "[open('canary', 'w') for _ in range(3)]",
    "type('X', (), {})",
    "10 ** 10 ** 10",
    "'a' * 10 ** 12",
    "x = " + "(" * 500,
    "x = " + "-" * 100_000 + "1",
    "x" + ".y" * 100_000,
    "1" + " + 1" * 50_000,
    "x = '" + "a" * (2 << 20) + "'",
    "breakpoint()",
]


def test_nothing_of_a_notebook_or_its_folder_is_run(
    write_notebook: Callable[..., Path], tmp_path: Path
) -> None:
    """Faults 104, 109: hostile cells in every role, hostile files beside them; no canary."""
    for name in ("evil.py", "local_sibling.py", "sitecustomize.py", "ipython_config.py"):
        (tmp_path / name).write_text("open('canary', 'w')\n")
    roles = ("nq-export", "nq-config", "nq-handler", "")
    paths = [
        str(write_notebook((roles[number % 4], source), name=f"n{number}.ipynb"))
        for number, source in enumerate(_HOSTILE)
    ]
    paths += [
        str(write_notebook(("nq-export", source), name=f"e{number}.ipynb"))
        for number, source in enumerate(_HOSTILE)
    ]
    done = subprocess.run(
        [sys.executable, "-P", "-c", _AUDITED, *paths],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("] ", 1)[1] == "[] []\n"
    assert not (tmp_path / "canary").exists()


def test_an_export_loads_no_notebook_library(write_notebook: Callable[..., Path]) -> None:
    """Exporter P5."""
    code = (
        "import sys; from nbtools.cli import main; main([sys.argv[1]]);"
        "print(sorted({'nbformat', 'nbconvert', 'IPython', 'jupyter_core'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(write_notebook())],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.split("\n")[1] == "[]"


_REFUSED = (
    "%run x",
    "%%bash\nls",
    "!ls",
    "x = !ls",
    "x, y = !ls",
    "x = %sql y",
    "%env A=1",
    "%cd /",
    "%store x",
    "%pylab",
    "!!ls",
    "%time x()",
    "%%timeit\nx()",
    "%%time x\ny",
    "%%capture out\nx()",
    "%%writefile f\nx",
    "%%html",
    "%%javascript\n1",
    "%%sh\nls",
    "%%sql\nSELECT 1",
    "%%R\nx <- 1",
)
_DROPPED = (
    "%matplotlib inline",
    "%load_ext autoreload",
    "%autoreload 2",
    "%config X.y = 1",
    "%precision 3",
    "%who",
    "?os",
    "os?",
    "os.path??",
    "%pip install x",
    "%conda install x",
    "!pip install x",
)


@pytest.mark.parametrize("magic", _REFUSED)
def test_a_magic_that_matters_is_refused_with_its_line(
    magic: str, write_notebook: Callable[..., Path]
) -> None:
    """Exporter R5, faults 107."""
    source = magic if magic.startswith("%%") else f"import os\n{magic}"
    with pytest.raises(ExportError) as caught:
        export_notebook(write_notebook(("nq-export", source)))
    finding = caught.value.diagnostics[0]
    assert finding.code in {"NQ202", "NQ203"}
    assert (finding.cell, finding.line) == (2, 1 if magic.startswith("%%") else 2)


@pytest.mark.parametrize("magic", _DROPPED)
def test_a_magic_that_only_a_notebook_needs_becomes_a_comment(
    magic: str, write_notebook: Callable[..., Path]
) -> None:
    """Exporter R5: also as the only statement of a block."""
    source = f"import os\n{magic}\nif os:\n    {magic}\nA = 1"
    text = export_notebook(write_notebook(("nq-export", source))).text
    assert f"\n# (dropped) {magic}\n" in text
    assert f"\n    pass  # (dropped) {magic}\nA = 1\n" in text


def test_findings_of_every_cell_are_reported_together(write_notebook: Callable[..., Path]) -> None:
    with pytest.raises(ExportError) as caught:
        export_notebook(
            write_notebook(("nq-export", "x ="), ("nq-export", "!ls"), ("nq-skip", "y ="))
        )
    assert [(each.code, each.cell) for each in caught.value.diagnostics] == [
        ("NQ201", 2),
        ("NQ203", 3),
    ]
    assert json.dumps(str(caught.value)).count("\\n") == 1
