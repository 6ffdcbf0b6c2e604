"""`nq-export --verify`: the notebook's own try-outs, here and in a real process (exporter R12)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbtools import cli
from nbtools.notebook import read_notebook
from nbtools.trials import Trial, find_trials
from nbtools.verify import Difference, compare, table

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _handler(*lines: str) -> tuple[str, str]:
    return ("nq-handler", "\n".join(["async def handler(job, ctx):", *lines]))


def _verify(write: Write, *cells: tuple[str, str], options: tuple[str, ...] = ()) -> int:
    config = ("nq-config", 'config = {"flow": {"name": "demo", "role": "entry"}}')
    write(config, *cells, bare=True)
    return cli.main(["--verify", *options, "job.ipynb"])


def test_a_worker_that_does_the_same_in_both_is_verified(
    write_notebook: Write, capsys: Capture
) -> None:
    """Result, state, logs, emits and an error; what `print` writes is not compared."""
    cells = (
        ("nq-imports", "import math"),
        _handler(
            "    print('not a log line')",
            "    ctx.logger.info('at work', {'n': job['data']['n']})",
            "    await ctx.state.set('last', job['data'])",
            "    await ctx.flow.emit('done', {'n': 1})",
            "    return [math.sqrt(job['data']['n']), ctx.job_id, ctx.flow_id, ctx.attempt,",
            "            await ctx.state.get('before')]",
        ),
        ("nq-test", "N = 16\nrun = await run_local(handler, {'n': N}, state={'before': [1]})"),
        ("nq-test", "try:\n    await run_local(handler, data={'n': -1})\nexcept ValueError: pass"),
    )  # fmt: skip
    assert _verify(write_notebook, *cells) == 0
    said = capsys.readouterr()
    assert said.out.endswith("job.py  verified: 2 try-outs, the same here and in a process\n")
    assert "NQ5" not in said.err


def test_what_differs_is_shown_side_by_side(
    write_notebook: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = (
        ("nq-imports", "import os"),
        _handler(
            "    child = 'MINE' not in os.environ",
            "    ctx.logger.info('same')",
            "    ctx.logger.info('child' if child else 'notebook')",
            "    await ctx.state.set('where', child)",
            "    return {'child': child}",
        ),
        ("nq-test", "await run_local(handler, {})"),
    )
    monkeypatch.setenv("MINE", "1")  # the worker's process does not get it
    assert _verify(write_notebook, *cells) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(
        "job.ipynb, cell 4, line 1: NQ501 the notebook and the process do not"
    )
    assert [line.split("  ")[1] for line in told[2:]] == ["result", "logs[1]", "state.where"]
    assert told[1].split() == ["notebook", "process"]
    assert told[2].endswith('{"child": true}')
    assert told[4].split() == ["state.where", "false", "true"]


def test_what_cannot_be_imported_is_no_verdict_of_sameness(
    write_notebook: Write, capsys: Capture
) -> None:
    cells = (("nq-imports", "import nowhere_installed"), _handler("    return 1"))
    assert _verify(write_notebook, *cells, options=("--data", "{}")) == 1
    assert "NQ502 the worker cannot be imported here" in capsys.readouterr().err


def test_the_registry_must_read_the_config_that_was_exported(
    write_notebook: Write, capsys: Capture
) -> None:
    """The target may be another file's neighbour, or changed by hand since: it is looked at."""
    cells = (_handler("    return 1"), ("nq-export", "config['queue'] = {'name': 'x'}"))
    assert _verify(write_notebook, *cells, options=("--data", "1")) == 1
    assert "NQ502 the worker cannot be run: " in capsys.readouterr().err


def test_a_worker_that_the_host_would_not_find_is_not_verified(
    write_notebook: Write, capsys: Capture
) -> None:
    """R12: the host's registry says nothing; `--verify` runs the file as it does and says why."""
    cells = (_handler("    return 1"), ("nq-test", "await run_local(handler, {})"))
    assert _verify(write_notebook, *cells) == 0
    assert "NQ505" not in capsys.readouterr().err
    worker = Path("job.py")
    text = worker.read_text()
    for old, new, reason in (
        ("\n_nq_answer_discovery()\n", "\n", "finds no config in the worker: ModuleNotFoundError"),
        ("dumps(config)", "dumps({**config, 'x': 1.0})", "finds another config: {"),
    ):
        worker.write_text(text.replace(old, new))
        assert _verify(write_notebook, *cells, options=("--diff",)) == 1
        assert f"job.ipynb: NQ505 the host {reason}" in capsys.readouterr().err


def test_an_exit_at_import_or_in_the_handler_ends_no_verification(
    write_notebook: Write, capsys: Capture
) -> None:
    for cells in (
        (("nq-imports", "import sys"), _handler("    sys.exit(3)")),
        (("nq-imports", "import sys"), ("nq-handler", "def handler(job, ctx):\n    sys.exit(3)")),
    ):
        assert _verify(write_notebook, *cells, options=("--data", "1")) == 0
        capsys.readouterr()


def test_a_notebook_without_a_try_out_needs_data(write_notebook: Write, capsys: Capture) -> None:
    assert _verify(write_notebook, _handler("    return 1")) == 1
    assert "NQ504 has no try-out to replay" in capsys.readouterr().err
    assert _verify(write_notebook, _handler("    return 1"), options=("--data", "{")) == 2
    assert "--data is not JSON" in capsys.readouterr().err
    assert cli.main(["--data", "1", "job.ipynb"]) == 2
    assert cli.main(["--stdout", "--verify", "job.ipynb"]) == 2


def test_try_outs_are_read_and_not_run(write_notebook: Write) -> None:
    """Only literals, and constants of cells before; other calls are named with their line."""
    notebook = write_notebook(
        ("", "LIMIT = 5\nopen('canary', 'w')"),
        ("nq-test", "a = await run_local(handler, {'n': LIMIT * 2})\nb = run_local(other, 1)"),
        ("nq-test", "import nbtools\nnbtools.run_local(handler, state={'k': [1]})"),
        ("nq-test", "\nrun_local(handler, open('canary', 'w'))\nrun_local(handler, 1, ctx=c)"),
        ("", "run_local(handler, 'a look, no test')"),
    )
    trials, found = find_trials(read_notebook(notebook), "handler")
    assert trials == [Trial({"n": 10}, {}, 3, 1), Trial(None, {"k": [1]}, 4, 2)]
    assert [(each.code, each.cell, each.line) for each in found] == [
        ("NQ503", 5, 2),
        ("NQ503", 5, 3),
    ]
    assert not Path("canary").exists()


def test_try_outs_of_unmarked_cells_count_when_there_are_no_tests() -> None:
    trials, found = find_trials(read_notebook(NOTEBOOKS / "00_greet.ipynb"), "handler")
    assert [trial.data for trial in trials] == [{"name": "Ada"}]
    assert not found


def test_outcomes_are_compared_piece_by_piece() -> None:
    ours = {"result": 1, "logs": [1, 2], "emits": [], "state": {"a": 1, "b": 2}}
    theirs = {"result": 1.0, "logs": [1], "emits": [], "state": {"a": 1, "b": 3}}
    assert compare(ours, ours) == []
    assert compare(ours, theirs) == [
        Difference("result", 1, 1.0),
        Difference("logs[1]", 2, "(nothing)"),
        Difference("state.b", 2, 3),
    ]
    assert table(compare(ours, theirs)) == (
        "           notebook  process\n"
        "  result   1         1.0\n"
        "  logs[1]  2         (nothing)\n"
        "  state.b  2         3"
    )
