"""A host that runs plain `python3 worker.py` is answered at once, whatever the file does.

Host-contract section 7, rows 5 and 7: such a host listens to no exit, and would wait for the job's
timeout of five minutes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.seed_letter_host import JobFailedError, SeedLetterHost

FILES = {
    "a missing package": (
        "import nuxt_queue\nimport not_installed_here\n",
        "ModuleNotFoundError: No module named 'not_installed_here'",
    ),
    "an exception at import": (
        "import nuxt_queue\nraise ValueError('at import')\n",
        "ValueError: at import",
    ),
    "an exit at import": (
        "import nuxt_queue, sys\nsys.exit(3)\n",
        "RuntimeError: the worker file ended and never called `run_worker(handler)`",
    ),
    "no run_worker, as in the specification's first example": (
        "from nuxt_queue import define_worker\n\n@define_worker\ndef handler(job, ctx): ...\n",
        "RuntimeError: the worker file ended and never called `run_worker(handler)`",
    ),
    "a hook of the user's own": (
        "import nuxt_queue, sys\nsys.excepthook = lambda *_: None\nimport not_installed_here\n",
        "RuntimeError: the worker file ended and never called `run_worker(handler)`",
    ),
}


@pytest.mark.parametrize("name", FILES)
async def test_a_file_that_never_gets_to_its_handler_answers_its_job(
    name: str, tmp_path: Path
) -> None:
    source, says = FILES[name]
    worker = tmp_path / "worker.py"
    worker.write_text(source, "utf-8")
    host = SeedLetterHost()
    with pytest.raises(JobFailedError) as failure:
        await host.execute(str(worker), {})
    assert str(failure.value) == says
    assert host.lost == []


async def test_what_the_file_printed_about_it_still_reaches_the_console(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("import nuxt_queue\nraise ValueError('at import')\n", "utf-8")
    host = SeedLetterHost()
    with pytest.raises(JobFailedError):
        await host.execute(str(worker), {})
    assert "ValueError: at import" in "".join(host.console)


LARGE = "is 9007199254740993, which JavaScript would round; send it as a string"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return {'rows': [1, {'id': 2**53 + 1}]}", f"ValuePathError: result.rows[1].id {LARGE}"),
        ("ctx.state.set('n', [2**53 + 1])", f"ValuePathError: state['n'][0] {LARGE}"),
        ("ctx.flow.emit('e', {'n': 2**53 + 1})", f"ValuePathError: payload.n {LARGE}"),
    ],
)
async def test_an_integer_that_javascript_would_round_is_refused_with_its_place(
    body: str, says: str, tmp_path: Path
) -> None:
    """Decision D6: the specification's host reads every number as a double."""
    worker = tmp_path / "worker.py"
    handler = f"def handler(job, ctx):\n    {body}\n"
    worker.write_text(f"from nuxt_queue import run_worker\n{handler}run_worker(handler)\n")
    with pytest.raises(JobFailedError) as failure:
        await SeedLetterHost().execute(str(worker), {})
    assert str(failure.value) == says


async def test_the_largest_integer_that_javascript_holds_passes(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "from nuxt_queue import run_worker\nrun_worker(lambda job, ctx: [2**53 - 1, 1 - 2**53])\n"
    )
    assert await SeedLetterHost().execute(str(worker), {}) == [2**53 - 1, 1 - 2**53]
