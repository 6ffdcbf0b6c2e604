"""Which names a cell needs from elsewhere (exporter R8)."""

from __future__ import annotations

import ast

import pytest

from nbtools.exporter.analysis import names_of

# source, names read while importing, names read later
_NEEDS = [
    ("x", "x", ""),
    ("x = x", "x", ""),
    ("x += 1", "x", ""),
    ("del x", "x", ""),
    ("x = 1; x", "", ""),
    ("x: int", "", ""),
    ("x: Frame = 1", "Frame", ""),
    ("x[y] = z.w", "x y z", ""),
    ("for i in items: last = i\nlast", "items last", ""),
    ("for i in [1, 2]: last = i\nlast", "", ""),
    ("for i in items: total += i", "items total", ""),
    ("for i in items: break\nelse: i = 1\ni", "items", ""),
    ("while more: more = i; i = 1", "more i", ""),
    ("while True:\n  x = 1\n  if y: break\nx", "y", ""),
    ("if a: b = 1\nb", "a b", ""),
    ("if a: b = 1\nelse: b = 2\nb", "a", ""),
    ("if a: b = 1\nelse: raise a\nb", "a", ""),
    ("try: a = b\nexcept KeyError: pass\na", "a b", ""),
    ("try: a = b\nexcept KeyError: a = 1\na", "b", ""),
    ("match m:\n  case 1: a = 1\n  case _: a = 2\na", "m", ""),
    ("x = 1\ndel x\nx", "x", ""),
    ("f()\ndef f(): ...", "f", ""),
    ("def f(): return g()\nf()\ndef g(): ...", "g", "g"),
    ("def f(): return g()\nif x: f()\ndef g(): ...", "x g", "g"),
    ("class A:\n  def __init__(self): b\n  def m(self): c\nA()", "b", "b c"),
    ("@a\ndef f(): ...\ndef a(f): return b", "a", "b"),
    ("def f(): b\nlist(map(f, xs))", "b xs", "b"),
    ("f = lambda: b\nf()", "b", "b"),
    ("async def f(): b\nf()", "", "b"),
    ("with a as b: b", "a", ""),
    ("try:\n  x\nexcept NameError: y", "x y", ""),
    ("try:\n  x\nexcept KeyError as e: e", "x", ""),
    ("try:\n  pass\nexcept* (A, B): pass", "A B", ""),
    ("match m:\n  case Point(x=a) | [a, *_] if a > b: c", "m Point b c", ""),
    ("import a.b.c\na\nimport d.e as f\nf\nfrom g import h as i\ni\nh", "h", ""),
    ("def f(a, *b, c=d, **e): return a, b, c, e, g", "d", "g"),
    ("def f(a: A, /, b: 'B') -> C: x: D = 1", "A C", ""),
    ("@deco\ndef f(): f", "deco", "f"),
    ("def f():\n  y = 1\n  def g():\n    nonlocal y\n    y = z\n  return g", "", "z"),
    ("def f():\n  global n\n  n = 1\nn", "n", ""),
    ("def f():\n  global n\n  n = 1\nf()\nn", "", ""),
    ("def f():\n  global n\n  return n", "", "n"),
    ("def f():\n  x\n  x = 1", "", ""),
    ("f = lambda a, b=c: (a, d)", "c", "d"),
    ("[x for x in xs if y]\nx", "xs y x", ""),
    ("{k: v for k, v in pairs for k in v}", "pairs", ""),
    ("g = (x + y for x in xs)", "xs", "y"),
    ("[last := n for n in ns]\nlast", "ns", ""),
    ("list(last := n for n in ns)\nlast", "ns", ""),
    ("class A(B, metaclass=C):\n  x = y\n  z = x\n  def m(self): return x, A", "B C y", "x A"),
    ("class A:\n  def m(self): return __class__, super().m()", "", ""),
    ("class A:\n  __slots__ = ()\n  n = __qualname__", "", ""),
    ("f'{x!r:>{width}} {y}'", "x width y", ""),
    ("async def f():\n  async for a in b: await a", "", "b"),
    ("print(__name__, __file__, len, WindowsError)", "", ""),
    ("get_ipython(); display(_)", "get_ipython display _", ""),
]  # fmt: skip


@pytest.mark.parametrize(("source", "now", "later"), _NEEDS, ids=[need[0][:40] for need in _NEEDS])
def test_a_cell_needs_the_names_that_it_does_not_define(source: str, now: str, later: str) -> None:
    reads = names_of(ast.parse(source)).reads
    assert sorted({read.name for read in reads if not read.is_deferred}) == sorted(now.split())
    assert sorted({read.name for read in reads if read.is_deferred}) == sorted(later.split())


def test_annotations_are_not_read_under_the_future_import() -> None:
    tree = ast.parse("def f(a: A) -> B: ...\nx: C = d")
    assert [read.name for read in names_of(tree, lazy_annotations=True).reads] == ["d"]


def test_what_a_cell_defines_is_known_with_line_and_kind() -> None:
    names = names_of(ast.parse("import a.b\ndef c(): ...\n\nd = 1\nfrom e import *"))
    assert names.binds == {"a": (1, "import"), "c": (2, "def"), "d": (4, "value")}
    assert names.stars == [(5, "e")]


def test_what_may_define_names_that_do_not_show_is_known() -> None:
    names = names_of(ast.parse("exec(text)\nglobals()['a'] = 1\nglobals().update(b)"))
    assert names.hidden == [(1, "exec(...)"), (2, "globals()"), (3, "globals()")]
