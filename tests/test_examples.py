"""Workers in other languages, as a project has them: found, run and reported like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nuxt_queue.app import open_app
from nuxt_queue.cli import main
from nuxt_queue.config import ProjectConfig
from nuxt_queue.errors import HandlerError
from nuxt_queue.one_job import JobReport, run_job
from nuxt_queue.registry import read_worker, scan

EXAMPLES = Path(__file__).parent.parent / "examples"
WORKERS = [EXAMPLES / "perl" / "worker.pl", EXAMPLES / "node-plain" / "worker.mjs"]
TEXT = "Ein Ei, ein \u00c9 \U0001f600"
COUNTED = {"ein": 2, "ei": 1, "\u00e9": 1}

each_example = pytest.mark.parametrize("worker", WORKERS, ids=lambda path: path.parent.name)


async def run(worker: Path, data: object, **options: object) -> JobReport:
    settings = ProjectConfig.find(worker)
    return await run_job(read_worker(worker, settings=settings), data, **options)  # type: ignore[arg-type]  # options of a test


def probe(do: str, **rest: object) -> dict[str, object]:
    return {"nq": "conformance", "do": do, **rest}


@each_example
def test_an_example_is_found_by_what_its_settings_claim(worker: Path) -> None:
    settings = ProjectConfig.find(worker)
    found = scan(worker.parent, settings)
    assert (found.problems, found.warnings) == ([], [])
    (entry,) = found.entries
    assert (entry.id, entry.queue, entry.job) == ("worker", "count-words", "worker")
    assert entry.kind == worker.suffix[1:]
    assert entry.worker["runtime"] == worker.parent.name
    assert entry.worker["timeout"] == 20_000
    assert entry.to_wire()["path"] == f"/{worker.name}"


@each_example
async def test_an_example_has_state_log_lines_and_events_like_any_worker(worker: Path) -> None:
    report = await run(worker, {"text": TEXT}, state={"words": 10})
    assert report.error is None
    assert report.result == {"words": COUNTED, "seen": 14}
    assert report.state == {"words": 14}
    assert report.logs == [{"level": "info", "message": "counted", "different": 3}]
    assert report.emits == [{"name": "words.counted", "payload": {"words": COUNTED}}]


@each_example
async def test_an_error_of_an_example_is_an_error_of_its_handler(worker: Path) -> None:
    report = await run(worker, {})
    assert isinstance(report.error, HandlerError)
    assert report.error.text == 'no text to count; the job\'s data is {"text": "..."}'
    assert report.error.phase == "run"


@each_example
async def test_what_an_example_prints_is_a_log_line_and_no_message(worker: Path) -> None:
    """Faults 21 and 22."""
    forged = '{"jsonrpc":"2.0","id":1,"result":"FORGED"}'
    report = await run(worker, probe("print", text=f"{forged}\n\u00e9"))
    assert report.result is None
    assert [(log["message"], log["stream"]) for log in report.logs] == [
        (forged, "stdout"),
        ("\u00e9", "stdout"),
    ]


@each_example
async def test_a_large_result_of_an_example_comes_back_whole(worker: Path) -> None:
    """Faults 25 and 34: also of a program that would exit before it has written."""
    report = await run(worker, probe("echo", value="\u00e9" * 300_000))
    assert report.result == "\u00e9" * 300_000


@each_example
async def test_log_lines_of_an_example_keep_their_order(worker: Path) -> None:
    asked = probe("log", level="debug", message="again", metadata={"n": 1}, times=500)
    report = await run(worker, asked)
    assert report.logs == [{"level": "debug", "message": "again", "n": 1}] * 500


async def test_an_example_is_served_by_a_manager_like_any_worker(tmp_path: Path) -> None:
    for worker in WORKERS:
        shutil.copytree(worker.parent, tmp_path, dirs_exist_ok=True)
    settings = "".join((worker.parent / "pyproject.toml").read_text() for worker in WORKERS)
    (tmp_path / "pyproject.toml").write_text(settings, "utf-8")
    (tmp_path / "worker.mjs.json").write_text(
        json.dumps({"flow": {"name": "f", "role": "step", "subscribes": ["words.counted"]}})
    )
    (tmp_path / "worker.pl.toml").write_text(
        'queue = "first"\n[flow]\nname = "f"\nstep = "first"\nemits = ["words.counted"]\n'
    )
    async with open_app(tmp_path) as app:
        assert app.workers.problems == []
        run, _events = await app.run_flow("f", {"text": TEXT}, timeout_s=20)
        # The second step finds no text in the event, which is its right.
        assert (run.status, run.error) == (
            "failed",
            'step worker: TypeError: no text to count; the job\'s data is {"text": "..."}',
        )


def test_a_runtime_whose_program_is_missing_is_one_line_that_says_how_to_fix_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Faults 90: by `nq run`, and by a manager, which serves the others."""
    shutil.copytree(EXAMPLES / "perl", tmp_path, dirs_exist_ok=True)
    settings = (tmp_path / "pyproject.toml").read_text("utf-8")
    missing = settings.replace('"perl"', '"no-such-perl -w"')
    (tmp_path / "pyproject.toml").write_text(missing, "utf-8")
    assert main(["run", str(tmp_path / "worker.pl")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith('nq: runtimes.perl.command: there is no "no-such-perl" on the path (')
    assert err.endswith("); install it, or give its whole path\n")

    off = settings + "enabled = false\n"
    (tmp_path / "pyproject.toml").write_text(off, "utf-8")
    assert main(["run", str(tmp_path / "worker.pl")]) == 2
    assert 'runtime "perl" is switched off; set enabled = true in' in capsys.readouterr().err


def test_nq_runs_and_scans_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    worker = str(WORKERS[0])
    assert main(["run", worker, "--data", json.dumps({"text": TEXT})]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"words": COUNTED, "seen": 4}
    assert "info   counted  different=3" in err.splitlines()
    assert main(["scan", str(WORKERS[0].parent)]) == 0
    out, err = capsys.readouterr()
    assert (out.splitlines()[1].split(), err) == (
        ["count-words", "worker", "perl", "/worker.pl"],
        "",
    )
