"""Records of `logging`, and warnings, keep their level and name; plain text on stderr is `info`."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytest

from nbtools import run_local
from tests.process.conftest import BOTH_WAYS, SCOPE, Host

HOSTS = BOTH_WAYS


def logs_of_a_handler(_job: Any, _ctx: Any) -> None:
    """Log in the ways that users do; also run as a worker by the tests below."""
    log = logging.getLogger("train")
    log.info("not shown: the level is WARNING unless it is configured")
    log.warning("no %s", "GPU")
    logging.getLogger().critical("two\nlines")
    try:
        1 / 0  # noqa: B018 for its traceback
    except ZeroDivisionError:
        log.exception("failed")
    warnings.warn("old", FutureWarning, stacklevel=1)


EXPECTED = [
    ("warn", "no GPU", "train"),
    ("error", "two\nlines", "root"),
    ("error", "failed", "train"),
    ("warn", "old", None),
]
WORKER = """
import logging, warnings
def handler(job, ctx):
    log = logging.getLogger("train")
    log.info("not shown: the level is WARNING unless it is configured")
    log.warning("no %s", "GPU")
    logging.critical("two\\nlines")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("failed")
    warnings.warn("old", FutureWarning)
"""


def worker(host: Host, body: str) -> Any:
    path = host.folder / "worker.py"
    path.write_text(body)
    return path


async def recorded(host: Host) -> list[tuple[str, str, Any]]:
    return [
        (line["level"], line["message"], line.get("logger")) for line in await host.events("log")
    ]


def first_lines(records: list[tuple[str, str, Any]]) -> list[tuple[str, str, Any]]:
    """Leave out the traceback, which is part of the message."""
    return [(level, text.partition("\nTraceback")[0], name) for level, text, name in records]


async def test_a_record_is_one_log_line_with_its_level_and_name(host: Host) -> None:
    await host.run(worker(host, WORKER))
    records = await recorded(host)
    assert first_lines(records) == EXPECTED
    assert "ZeroDivisionError: division by zero" in records[2][1]
    warning = (await host.events("log"))[-1]
    assert (warning["category"], warning["line"]) == ("FutureWarning", 12)
    assert warning["file"].endswith("worker.py")


async def test_a_notebook_shows_the_same_records() -> None:
    logging.getLogger("train").propagate = True
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            run = await run_local(logs_of_a_handler)
    finally:
        root.handlers = handlers
    found = [(line.level, line.message, line.metadata.get("logger")) for line in run.logs]
    assert first_lines(found) == EXPECTED


async def test_a_notebook_that_catches_warnings_in_a_cell_shows_them_in_the_next() -> None:
    def handler(_job: Any, _ctx: Any) -> None:
        warnings.warn("old", FutureWarning, stacklevel=1)

    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            run = await run_local(handler)
        assert [line.message for line in run.logs] == ["old"]


async def test_what_is_logged_beside_a_run_is_not_the_run_s(
    capsys: pytest.CaptureFixture[str],
) -> None:
    await run_local(lambda _job, _ctx: None)
    handler = logging.StreamHandler()
    logging.getLogger("beside").addHandler(handler)
    logging.getLogger("beside").error("printed")
    logging.getLogger("beside").removeHandler(handler)
    assert "printed" in capsys.readouterr().err


async def test_records_of_the_import_keep_their_level_too(host: Host) -> None:
    path = worker(
        host,
        "import logging, warnings\nlogging.error('at import')\nwarnings.warn('old')\n"
        "def handler(job, ctx): pass\n",
    )
    await host.run(path)
    assert await recorded(host) == [("error", "at import", "root"), ("warn", "old", None)]


async def test_a_copy_that_a_worker_forks_prints_its_records(host: Host) -> None:
    path = worker(
        host,
        "import logging, os\n"
        "def handler(job, ctx):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        logging.getLogger().error('in the copy')\n"
        "        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n",
    )
    await host.run(path)
    assert await recorded(host) == [("info", "in the copy", None)]


async def test_a_job_that_does_not_log_does_not_load_logging(host: Host) -> None:
    path = worker(
        host,
        "import sys\nLOADED = 'logging' in sys.modules\ndef handler(job, ctx): return LOADED\n",
    )
    assert await host.run(path, process="spawn") is False


async def test_a_process_that_is_used_again_gives_each_job_its_own_records(host: Host) -> None:
    path = worker(
        host,
        "import logging\ndef handler(job, ctx): logging.error(job['data'])\n",
    )
    runner = host.runner(path, process="reuse")
    for name in ("first", "second"):
        job: dict[str, Any] = {
            "id": name,
            "name": "train",
            "data": name,
            "attemptsMade": 0,
            "opts": {},
        }
        await runner.execute(job, host.service.for_job(SCOPE))
    await runner.close()
    assert await recorded(host) == [("error", "first", "root"), ("error", "second", "root")]


async def test_a_record_that_no_message_holds_is_printed(host: Host) -> None:
    path = worker(
        host,
        "import logging\ndef handler(job, ctx): logging.getLogger().error('x' * 300_000)\n",
    )
    await host.run(path, max_message=200_000)
    assert "".join(await host.printed("stderr")) == "x" * 300_000
