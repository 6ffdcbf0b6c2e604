"""What may go wrong around the file that is written: killed, full, locked, at once (faults A12)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import nbtools
from nbtools import cli
from nbtools.errors import ExportError, NotebookFormatError
from nbtools.exporter import export_notebook
from nbtools.notebook import read_notebook

Write = Callable[..., Path]

# Forks an export, kills it at another moment each time, and looks at what it leaves.
_KILL = """
import itertools, json, os, signal, sys, time
from pathlib import Path
from nbtools.exporter import export_notebook, write_worker
target = Path(sys.argv[1])
made = [export_notebook(path, stem="job") for path in sys.argv[2:]]
write_worker(made[0], target)
whole = {each.text for each in made}
broken, seen = 0, set()
for number in range(100):
    started, starting = os.pipe()
    pid = os.fork()
    if pid == 0:
        for each in itertools.cycle(made):
            write_worker(each, target, force=True)
            os.write(starting, b"x")
    for _ in range(1 + number % 4):  # so many are done, and the next one is under way
        os.read(started, 1)
    end = time.perf_counter() + number * 2e-5
    while time.perf_counter() < end:
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(started), os.close(starting)
    text = target.read_text()
    broken += text not in whole
    seen.add(len(text))
print(json.dumps([broken, len(seen)]))
"""


def _run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_killed_export_leaves_the_old_worker_or_the_new_one(
    write_notebook: Write, tmp_path: Path
) -> None:
    """Faults 110: kill -9 at a hundred moments; never a partial file, nothing that is a worker."""
    notebooks = [
        write_notebook(("nq-export", source), name=f"{number}.ipynb")
        for number, source in enumerate(("A = 1", "A = 2  # " + "x" * 500_000))
    ]
    workers = tmp_path / "workers"
    broken, versions = json.loads(_run(_KILL, str(workers / "job.py"), *map(str, notebooks)))
    assert broken == 0
    assert versions == 2  # it was at work when it was killed
    left = {path.name for path in workers.iterdir()} - {"job.py"}
    assert all(name.startswith(".job.py.") and name.endswith(".tmp") for name in left)
    assert cli.main([str(notebooks[0]), "-o", str(workers / "job.py"), "--force"]) == 0


# The kernel's own "no space": a file may not grow beyond a size that every worker exceeds.
_FULL = """
import resource, signal, sys
from nbtools.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
sys.exit(main(sys.argv[1:]) - 1)
"""


def test_a_full_disk_keeps_the_old_worker_and_leaves_nothing(
    write_notebook: Write, tmp_path: Path
) -> None:
    """Faults 110: half of the file fits."""
    notebook = write_notebook()
    target = tmp_path / "workers" / "job.py"
    assert cli.main([str(notebook), "-o", str(target)]) == 0
    before = target.read_text()
    write_notebook(("nq-export", "A = 1"))
    assert _run(_FULL, str(notebook), "-o", str(target)) == ""
    assert target.read_text() == before
    assert list(target.parent.iterdir()) == [target]


def test_exports_at_once_from_many_processes_leave_one_whole_worker(
    write_notebook: Write, tmp_path: Path
) -> None:
    """Faults 110."""
    notebooks = [
        write_notebook(("nq-export", f"A = {number}\n" * 500), name=f"{number}.ipynb")
        for number in range(4)
    ]
    target = tmp_path / "out" / "job.py"
    command = [sys.executable, "-m", "nbtools.cli", "--force", "-o", str(target)]
    started = [subprocess.Popen([*command, str(each)], stdout=subprocess.DEVNULL)
               for each in notebooks]  # fmt: skip
    assert [process.wait(timeout=30) for process in started] == [0, 0, 0, 0]
    assert target.read_text() in {export_notebook(each, stem="job").text for each in notebooks}
    assert list(target.parent.iterdir()) == [target]


def test_a_link_to_nowhere_makes_the_file_that_it_names(
    write_notebook: Write, tmp_path: Path
) -> None:
    """Faults 110."""
    link = tmp_path / "job.py"
    link.symlink_to(tmp_path / "real" / "job.py")
    assert cli.main([str(write_notebook()), "-o", str(link)]) == 0
    assert link.is_symlink()
    assert (tmp_path / "real" / "job.py").is_file()


def test_two_threads_may_export_in_one_process(write_notebook: Write) -> None:
    """What an export does to the process, its collector and warnings, it undoes."""
    notebook = write_notebook(("nq-export", "A = 1\n" * 300))
    texts: set[str] = set()

    def export() -> None:
        for _ in range(10):
            texts.add(export_notebook(notebook).text)

    threads = [threading.Thread(target=export) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(texts) == 1


HUGE = {
    "a cell of 2 MiB": ("x = '" + "a" * (2 << 20) + "'", "NQ212"),
    "a sum of 200,000 terms": ("x = 1" + " + 1" * 200_000, "NQ2"),
    "100,000 brackets": ("x = " + "[" * 100_000, "NQ2"),
    "100,000 signs": ("x = " + "-" * 100_000 + "1", "NQ2"),
    "a chain of 100,000 attributes": ("x" + ".y" * 100_000, "NQ2"),
    "an f-string in an f-string": ("x = " + "f'{" * 500 + "}'" * 500, "NQ2"),
    "5,000 nested blocks": ("\n".join(" " * n + "if 1:" for n in range(1_000)), "NQ2"),
    "a lambda of lambdas": ("x = " + "lambda: " * 50_000 + "1", "NQ2"),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_cell_beyond_all_measure_is_refused_at_its_number(
    name: str, write_notebook: Write
) -> None:
    """Faults 109: no crash of the interpreter, no gigabytes, one line."""
    source, code = HUGE[name]
    for tag in ("nq-export", ""):  # what is not exported must not hurt either
        notebook = write_notebook((tag, source))
        if tag:
            with pytest.raises(ExportError, match=f", cell 2.*: {code}"):
                export_notebook(notebook)
        else:
            export_notebook(notebook)
            export_notebook(notebook, with_deps=True)


_LIMITED = """
import resource, sys
from nbtools.cli import main
resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
assert main([sys.argv[1]]) == 2
"""


def test_a_notebook_beyond_64_mib_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Faults 109: typed, and within bounded memory and time."""
    huge = tmp_path / "huge.ipynb"
    with huge.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(NotebookFormatError) as caught:
        read_notebook(huge)
    assert caught.value.code == "NQ010"
    deep = tmp_path / "deep.ipynb"
    deep.write_text('{"cells": ' + "[" * 1_000_000)
    _run(_LIMITED, str(deep))


VECTORS = (
    '"""', "'''", '"""\nimport os\n"""', "\\", "\n", "\r", "\n\n", "\x0c", "\x00", "\u2028",
    "\u202e", "\u2066", "\ufeff", "#", "# %% nq: entry", "\n# %% nq: entry\n", "{}", "{0}", "%s",
    "${x}", "`x`", "$(touch canary)", "; import os", "\nimport os\n", "\timport os", "é", "日本",
    "\ud800", "a" * 10_000, "../../etc/passwd", "/etc/passwd", "C:\\x", "__import__('os')",
    "-*- coding: utf-7 -*-", "coding: latin-1", "vim: set fileencoding=x", "!/usr/bin/python",
    "]", "}", ")", "'", '"', "\x1b[31m", "\x7f", "\x85", "\u200b", "None", "True", "<script>",
    "&amp;", "# type: ignore",
)  # fmt: skip


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_no_text_around_the_code_becomes_code(vector: str, tmp_path: Path) -> None:
    """Faults 105: tags, ids, metadata, markdown, kernel, outputs, whatever they hold."""

    def document(text: str) -> dict[str, object]:
        def cell(kind: str, source: str, *tags: str) -> dict[str, object]:
            metadata = {"tags": [*tags, f"x{text}"], "name": text, text or "k": {"a": text}}
            return {"cell_type": kind, "id": text, "metadata": metadata, "source": source,
                    "attachments": {text: {"text/plain": text}},
                    "outputs": [{"output_type": "stream", "name": "stdout", "text": text,
                                 "metadata": {"filename": text}}],
                    "execution_count": 1}  # fmt: skip

        return {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": f"python{text}", "display_name": text},
                         "title": text, "authors": [{"name": text}]},
            "cells": [
                cell("markdown", text),
                cell("raw", text),
                cell("code", 'config = {"flow": {"name": "a", "role": "entry"}}', "nq-config"),
                cell("code", text, "nq-skip"),
                cell("code", "def handler(job, ctx): ...", "nq-handler"),
            ],
        }  # fmt: skip

    texts = set()
    for number, text in enumerate((vector, "plain")):
        path = tmp_path / str(number) / "job.ipynb"
        path.parent.mkdir()
        path.write_text(json.dumps(document(text)))
        texts.add(export_notebook(path).text)
    assert len(texts) == 1  # nothing of it is there at all
    assert len(VECTORS) >= 50


def test_the_check_of_the_version_cannot_be_fooled_into_overwriting(
    write_notebook: Write, tmp_path: Path
) -> None:
    """Faults 110, R17: a header alone makes no worker of ours; a body of another is not ours."""
    notebook = write_notebook()
    target = tmp_path / "job.py"
    exported = export_notebook(notebook)
    for text in (
        exported.text.split("\n", 3)[0] + "\n",
        "\n".join(exported.text.split("\n")[:3]) + "\nx = 1\n",
        exported.text + "# mine\n",
        "#!/usr/bin/env python\n" + exported.text,
    ):
        target.write_text(text)
        with pytest.raises(ExportError, match=r"NQ40[23]"):
            nbtools.write_worker(exported, target)
        assert target.read_text() == text
