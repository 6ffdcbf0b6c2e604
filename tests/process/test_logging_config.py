"""What a worker configures of `logging` and `warnings` stays in force, and nothing comes twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.process.conftest import Host

CONFIGURED: dict[str, tuple[str, list[tuple[str, str, Any]]]] = {
    "basicConfig": (
        (
            "logging.basicConfig(level='DEBUG')\nlogging.getLogger('a').debug('d')\n"
            "logging.getLogger('b').info('i')\n"
        ),
        [("debug", "d", "a"), ("info", "i", "b")],
    ),
    "basicConfig with a format": (
        "logging.basicConfig(format='<%(message)s>')\nlogging.error('e')\n",
        [("error", "<e>", "root")],
    ),
    "basicConfig to stdout": (
        "import sys\nlogging.basicConfig(stream=sys.stdout)\nlogging.error('e')\n",
        [("error", "e", "root")],
    ),
    "dictConfig": (
        (
            "import logging.config\n"
            "logging.config.dictConfig({'version': 1, 'formatters': {'f': {'format': '%(name)s!'}},"
            " 'handlers': {'h': {'class': 'logging.StreamHandler', 'formatter': 'f'}},"
            " 'loggers': {'a': {'handlers': ['h'], 'level': 'INFO', 'propagate': False}}})\n"
            "logging.getLogger('a').info('i')\n"
        ),
        [("info", "a!", "a")],
    ),
    "a file": (
        "logging.basicConfig(filename='x.log')\nlogging.error('e')\nprint(open('x.log').read())\n",
        [("info", "ERROR:root:e", None)],
    ),
    "a stream of one's own": (
        (
            "import io\nto = io.StringIO()\nlogging.basicConfig(stream=to)\nlogging.error('e')\n"
            "print(to.getvalue())\n"
        ),
        [("info", "ERROR:root:e", None)],
    ),
    "redirected stderr": (
        (
            "import contextlib, io\n"
            "with contextlib.redirect_stderr(io.StringIO()) as to:\n"
            "    logging.error('e')\n    warnings.warn('w')\n"
            "print(len(to.getvalue().splitlines()))\n"
        ),
        [("info", "3", None)],
    ),
    "recorded warnings": (
        (
            "with warnings.catch_warnings(record=True) as seen:\n"
            "    warnings.simplefilter('always')\n    warnings.warn('w')\n"
            "print(len(seen))\n"
        ),
        [("info", "1", None)],
    ),
    "arguments that do not fit": (
        "logging.raiseExceptions = False\nlogging.error('%d', 'x')\nlogging.error('after')\n",
        [("error", "after", "root")],
    ),
    "plain text": (
        "import sys\nprint('WARNING: looks like one', file=sys.stderr)\n",
        [("info", "WARNING: looks like one", None)],
    ),
    "a thread": (
        (
            "import threading\nt = threading.Thread(target=lambda: logging.error('e'))\n"
            "t.start()\nt.join()\n"
        ),
        [("error", "e", "root")],
    ),
    "half a surrogate pair": ("logging.error('a\\ud800')\n", [("error", "a\\ud800", "root")]),
}


@pytest.mark.parametrize(("code", "records"), CONFIGURED.values(), ids=CONFIGURED)
async def test_what_a_worker_configures_stays_in_force_and_nothing_comes_twice(
    host: Host, code: str, records: list[tuple[str, str, Any]]
) -> None:
    body = "".join(f"    {line}\n" for line in code.splitlines())
    path = host.folder / "worker.py"
    path.write_text(
        "import logging, os, warnings\ndef handler(job, ctx):\n"
        f"    os.chdir({str(host.folder)!r})\n{body}",
    )
    await host.run(path)
    assert [
        (line["level"], line["message"], line.get("logger")) for line in await host.events("log")
    ] == records


async def test_captured_warnings_are_records_of_their_own_logger(host: Host) -> None:
    path = host.folder / "worker.py"
    path.write_text(
        "import logging, warnings\nlogging.basicConfig()\nlogging.captureWarnings(True)\n"
        "def handler(job, ctx): warnings.warn('old')\n"
    )
    await host.run(path)
    (line,) = await host.events("log")
    assert (line["level"], line["logger"]) == ("warn", "py.warnings")
    assert "worker.py:4: UserWarning: old" in line["message"]
