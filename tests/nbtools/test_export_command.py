"""`nq-export`: what it writes, what it leaves alone, and its exit status (exporter R17, R18)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import nbtools
from nbtools import cli

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _names(folder: str = ".") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_a_worker_is_written_beside_its_notebook(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(name="notebooks/02_train model.ipynb")
    assert cli.main(["notebooks/02_train model.ipynb"]) == 0
    said = capsys.readouterr()
    assert said.out == "notebooks/train_model.py  from notebooks/02_train model.ipynb, 2 cells\n"
    assert said.err == ""
    assert _names("notebooks") == ["02_train model.ipynb", "train_model.py"]
    assert b"\r" not in Path("notebooks/train_model.py").read_bytes()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("01_prepare_data", "prepare_data"),
        ("prepare-data", "prepare_data"),
        ("My Notebook (1)", "My_Notebook_1"),
        ("10. Évaluer", "Évaluer"),
        ("3d_model", "_3d_model"),
        ("07_2024_report", "_2024_report"),
        ("v1.2", "v1_2"),
    ],
)
def test_a_worker_has_the_name_of_its_notebook_without_numbering(
    name: str, stem: str, write_notebook: Write
) -> None:
    write_notebook(name=f"{name}.ipynb")
    assert cli.main([f"{name}.ipynb"]) == 0
    assert f'"queue": {{"name": "{stem}"}}' in Path(f"{stem}.py").read_text()


@pytest.mark.parametrize("name", ["queue", "01_email", "class", "___", "asyncio"])
def test_a_name_that_breaks_a_folder_of_workers_is_refused(
    name: str, write_notebook: Write, capsys: Capture
) -> None:
    """Host-contract 1.3: `queue.py` hides Python's own for every worker beside it."""
    write_notebook(name=f"{name}.ipynb")
    assert cli.main([f"{name}.ipynb"]) == 1
    assert f"{name}.ipynb: NQ401 " in capsys.readouterr().err
    assert not list(Path().glob("*.py"))
    assert cli.main([f"{name}.ipynb", "-o", "__init__.py"]) == 1
    assert cli.main([f"{name}.ipynb", "-o", ".hidden.py"]) == 1
    assert cli.main([f"{name}.ipynb", "-o", "fine.py"]) == 0


def test_output_names_a_file_or_a_folder(write_notebook: Write) -> None:
    write_notebook()
    assert cli.main(["job.ipynb", "-o", "server/queues"]) == 0
    assert cli.main(["job.ipynb", "-o", "one/my.worker.py"]) == 0
    Path("odd.py").mkdir()
    assert cli.main(["job.ipynb", "-o", "odd.py"]) == 0
    assert Path("server/queues/job.py").is_file()
    assert Path("odd.py/job.py").is_file()
    assert '"queue": {"name": "my.worker"}' in Path("one/my.worker.py").read_text()


def test_the_project_says_where_workers_go(write_notebook: Write, capsys: Capture) -> None:
    Path("pyproject.toml").write_text('[tool.nuxt-queue]\nworkers = "server/queues"\n')
    write_notebook(name="notebooks/job.ipynb")
    assert cli.main(["notebooks/job.ipynb"]) == 0
    assert capsys.readouterr().out.startswith("server/queues/job.py  from notebooks/job.ipynb")
    assert "# notebook: notebooks/job.ipynb\n" in Path("server/queues/job.py").read_text()


def test_wrong_settings_of_the_project_are_one_line(write_notebook: Write, capsys: Capture) -> None:
    Path("pyproject.toml").write_text("[tool.nuxt-queue]\nworkers = 5\n")
    write_notebook()
    assert cli.main(["job.ipynb"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_current_worker_is_not_touched(write_notebook: Write, capsys: Capture) -> None:
    write_notebook()
    cli.main(["job.ipynb"])
    worker = Path("job.py")
    os.utime(worker, ns=(1, 1))
    # Neither a newer exporter nor other line ends make a worker stale.
    text = worker.read_text().replace(nbtools.__version__, "0.0.1", 1).replace("\n", "\r\n")
    worker.write_bytes(text.encode())
    os.utime(worker, ns=(1, 1))
    assert cli.main(["job.ipynb"]) == 0
    assert worker.stat().st_mtime_ns == 1
    assert capsys.readouterr().out.endswith(", unchanged\n")
    assert cli.main(["--check", "job.ipynb"]) == 0


def test_check_tells_a_stale_worker_and_writes_nothing(
    write_notebook: Write, capsys: Capture
) -> None:
    write_notebook()
    assert cli.main(["--check", "job.ipynb"]) == 1
    assert not Path("job.py").exists()
    cli.main(["job.ipynb"])
    before = Path("job.py").read_text()
    write_notebook(("nq-export", "A = 1"))
    capsys.readouterr()
    assert cli.main(["--check", "job.ipynb"]) == 1
    expected = (
        "job.ipynb: NQ406 job.py is older than the notebook; run nq-export and commit the result\n"
    )
    assert capsys.readouterr().err == expected
    assert Path("job.py").read_text() == before


def test_diff_shows_what_would_change(
    write_notebook: Write, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    write_notebook()
    cli.main(["job.ipynb"])
    write_notebook(("nq-export", "A = 1"))
    capsysbinary.readouterr()
    assert cli.main(["--diff", "job.ipynb"]) == 0
    shown = capsysbinary.readouterr().out.decode()
    assert shown.startswith("--- job.py\n+++ job.py (from job.ipynb)\n")
    assert "\n+A = 1\n" in shown
    assert cli.main(["--diff", "--check", "job.ipynb"]) == 1
    assert "A = 1" not in Path("job.py").read_text()


def test_stdout_holds_the_worker_and_nothing_else(
    write_notebook: Write, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    write_notebook(("nq-exprot", ""))
    assert cli.main(["--stdout", "job.ipynb"]) == 0
    said = capsysbinary.readouterr()
    assert said.out.decode() == nbtools.export_notebook("job.ipynb").text
    assert b"NQ102 warning" in said.err
    assert not Path("job.py").exists()


def test_list_shows_the_role_of_each_cell(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(("", "\nprint(1)"), ("nq-skip", ""))
    assert cli.main(["--list", "job.ipynb"]) == 0
    assert capsys.readouterr().out == (
        "job.ipynb\n"
        '   1  config      config = {"flow": {"name": "demo", "role": "entry"}}\n'
        "   2  -           print(1)\n"
        "   3  skip\n"
        "   4  handler     async def handler(job, ctx):\n"
    )
    write_notebook(("nq-test", "#| nq: export"))
    assert cli.main(["--list", "job.ipynb"]) == 1


def test_a_worker_edited_by_hand_is_kept(write_notebook: Write, capsys: Capture) -> None:
    write_notebook()
    cli.main(["job.ipynb"])
    worker = Path("job.py")
    edited = worker.read_text().replace("return job", "return job or 1")
    worker.write_text(edited)
    assert cli.main(["job.ipynb"]) == 1
    assert "NQ402 job.py was changed by hand" in capsys.readouterr().err
    assert worker.read_text() == edited
    assert cli.main(["--force", "job.ipynb"]) == 0
    assert worker.read_text() != edited


def test_a_file_that_is_not_ours_is_kept(write_notebook: Write, capsys: Capture) -> None:
    write_notebook()
    for text in ("x = 1\n", ""):
        Path("job.py").write_text(text)
        assert cli.main(["job.ipynb"]) == 1
        assert "NQ403 job.py exists and was not written by nq-export" in capsys.readouterr().err
        assert Path("job.py").read_text() == text


def test_a_worker_of_another_notebook_is_kept_until_that_one_is_gone(
    write_notebook: Write, capsys: Capture
) -> None:
    write_notebook(name="01_job.ipynb")
    write_notebook(("nq-export", "A = 1"), name="02_job.ipynb")
    assert cli.main(["01_job.ipynb"]) == 0
    assert cli.main(["02_job.ipynb"]) == 1
    assert "NQ407" in capsys.readouterr().err
    Path("01_job.ipynb").unlink()  # it was renamed
    assert cli.main(["02_job.ipynb"]) == 0


def test_two_notebooks_cannot_make_one_file(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(name="01_job.ipynb")
    write_notebook(name="a/02_job.ipynb")
    assert cli.main(["01_job.ipynb", "a/02_job.ipynb", "-o", "out"]) == 1
    assert "a/02_job.ipynb: NQ405 makes the same file as 01_job.ipynb" in capsys.readouterr().err


def test_a_folder_or_a_read_only_file_in_the_way_is_kept(
    write_notebook: Write, capsys: Capture
) -> None:
    """Faults 110."""
    write_notebook()
    Path("job.py").mkdir()
    assert cli.main(["job.ipynb"]) == 1
    assert "NQ404 cannot write job.py: Is a directory" in capsys.readouterr().err
    Path("job.py").rmdir()
    cli.main(["job.ipynb"])
    Path("job.py").chmod(0o444)
    write_notebook(("nq-export", "A = 1"))
    assert cli.main(["job.ipynb"]) == 1
    assert "read-only" in capsys.readouterr().err
    assert cli.main(["--force", "job.ipynb"]) == 0
    assert Path("job.py").stat().st_mode & 0o777 == 0o444


def test_a_folder_that_cannot_be_made_is_one_line(write_notebook: Write, capsys: Capture) -> None:
    write_notebook()
    Path("file").touch()
    assert cli.main(["job.ipynb", "-o", "file/deeper"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("job.ipynb: NQ404 cannot write file/deeper/job.py: Not a directory")
    assert said.count("\n") == 1


def test_a_link_stays_a_link(write_notebook: Write) -> None:
    write_notebook()
    Path("real").mkdir()
    cli.main(["job.ipynb", "-o", "real/job.py"])
    Path("job.py").symlink_to("real/job.py")
    write_notebook(("nq-export", "A = 1"))
    assert cli.main(["job.ipynb"]) == 0
    assert Path("job.py").is_symlink()
    assert "A = 1" in Path("real/job.py").read_text()


def test_a_failed_write_leaves_nothing_behind(
    write_notebook: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_notebook()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", full)
    assert cli.main(["job.ipynb"]) == 1
    assert "NQ404 cannot write job.py: No space left on device" in capsys.readouterr().err
    assert _names() == ["job.ipynb"]


def test_readers_see_a_whole_file_while_it_is_replaced(write_notebook: Write) -> None:
    """Faults 110: exports of two versions at once; every read is one of them, complete."""
    versions = []
    for source in ("A = 1", "A = 2\n" * 2000):
        write_notebook(("nq-export", source))
        versions.append(nbtools.export_notebook("job.ipynb"))
    nbtools.write_worker(versions[0], "job.py")

    def flip(exported: nbtools.Exported) -> None:
        for _ in range(50):
            nbtools.write_worker(exported, "job.py")

    threads = [threading.Thread(target=flip, args=(each,)) for each in versions]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        seen.add(Path("job.py").read_text())
    for thread in threads:
        thread.join(timeout=10)
    assert seen <= {each.text for each in versions}
    assert _names() == ["job.ipynb", "job.py"]


def test_a_bad_notebook_does_not_stop_the_others(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(name="good.ipynb")
    write_notebook(("nq-export", "x ="), name="refused.ipynb")
    assert cli.main(["refused.ipynb", "missing.ipynb", "good.ipynb"]) == 2
    assert Path("good.py").is_file()
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--stdout", "a.ipynb", "b.ipynb"],
        ["--stdout", "-o", "x", "a.ipynb"],
        ["-o", "x.py", "a", "b"],
    ],
)
def test_a_call_that_makes_no_sense_is_refused(arguments: list[str], capsys: Capture) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.startswith("nq-export: ")


def test_modules_beside_the_notebook_are_accepted_when_asked(write_notebook: Write) -> None:
    Path("sibling.py").touch()
    write_notebook(("nq-imports", "import sibling"))
    assert cli.main(["job.ipynb"]) == 1
    assert cli.main(["--allow-local", "job.ipynb"]) == 0


def test_a_line_of_a_worker_is_found_in_its_notebook(
    write_notebook: Write, capsys: Capture
) -> None:
    """R14: `nq-export --where worker.py:57`."""
    write_notebook(("nq-export", "\nA = 1"))
    cli.main(["job.ipynb"])
    line = Path("job.py").read_text().split("\n").index("A = 1") + 1
    capsys.readouterr()
    assert cli.main(["--where", f"job.py:{line}"]) == 0
    assert capsys.readouterr().out == "job.ipynb, cell 2, line 2\n"
    assert cli.main(["--where", "job.py:1"]) == 1
    assert cli.main(["--where", "job.ipynb:5"]) == 1
    for nonsense in ("job.py", "job.py:x", ":5", "none.py:5", "nul\0.py:5"):
        assert cli.main(["--where", nonsense]) == 2
    assert capsys.readouterr().err.count("\n") == 7
    assert cli.main([]) == 2


def test_the_version_is_the_projects() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert nbtools.__version__ == project["project"]["version"]
