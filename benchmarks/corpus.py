"""What becomes of every notebook below a folder: a table of verdicts, and no traceback.

Each is exported as it is, and once more with every code cell marked, which is what most public
notebooks are good for: they mark nothing.
"""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nbtools.errors import NbtoolsError, NotebookFormatError, RefusedError
from nbtools.exporter import render_notebook
from nbtools.notebook import Cell, Notebook, read_notebook

__all__ = ["main"]

_ADDED = (
    ("nq-config", 'config = {"flow": {"name": "corpus", "role": "entry"}}'),
    ("nq-handler", "def handler(job, ctx):\n    return job"),
)


def main(folder: str, *, details: bool = False) -> int:
    """Print the table and return 1 when anything but a verdict came of a notebook."""
    files = sorted(path for path in Path(folder).rglob("*.ipynb") if path.is_file())
    if not files:
        print(f"corpus: no notebooks below {folder}", file=sys.stderr)
        return 2
    tables: dict[str, Counter[str]] = {"as it is": Counter(), "every code cell marked": Counter()}
    for file in files:
        for (how, table), verdict in zip(tables.items(), _verdicts(file), strict=True):
            table[verdict] += 1
            if details or verdict.startswith("TRACEBACK"):
                print(f"{file}: {how}: {verdict}")
    for how, table in tables.items():
        print(f"\n{len(files)} notebooks, {how}")
        for verdict, count in table.most_common():
            print(f"  {count:6}  {count / len(files):6.1%}  {verdict}")
    crashes = sum(table[each] for table in tables.values() for each in table if each[0] == "T")
    print(f"\n{crashes} tracebacks")
    return 1 if crashes else 0


def _verdicts(file: Path) -> Iterator[str]:
    """Yield what becomes of a notebook as it is, and with every cell marked."""
    try:
        notebook = read_notebook(file)
    except NotebookFormatError as error:
        yield from [f"not read: {error.code}"] * 2
    except Exception:  # noqa: BLE001 finding these is what this is for
        yield from [_crash()] * 2
    else:
        yield _verdict(notebook)
        yield _verdict(_marked(notebook))


def _verdict(notebook: Notebook) -> str:
    try:
        exported = render_notebook(notebook)
        compile(exported.text, "<worker>", "exec", dont_inherit=True)
    except RefusedError as error:
        codes = sorted({each.code for each in error.diagnostics if not each.is_warning})
        return f"refused: {codes[0]}" + (" and others" if codes[1:] else "")
    except NbtoolsError as error:
        return f"refused: {type(error).__name__}"
    except Exception:  # noqa: BLE001 as above
        return _crash()
    return "exported" + (", with warnings" if exported.warnings else "")


def _crash() -> str:
    return "TRACEBACK " + traceback.format_exc().strip().splitlines()[-1]


def _marked(notebook: Notebook) -> Notebook:
    cells = [
        cell._replace(tags=("nq-export",), metadata={}) if cell.kind == "code" else cell
        for cell in notebook.cells
    ]
    made = [
        Cell(len(cells) + number, "code", source, (tag,), {}, None)
        for number, (tag, source) in enumerate(_ADDED, 1)
    ]
    return notebook._replace(cells=(*cells, *made))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], details="--details" in sys.argv))
