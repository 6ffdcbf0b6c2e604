"""Worker files that cannot be imported, or hardly: an answer instead of a silent death."""

from __future__ import annotations

from typing import Any

import pytest

from nuxt_queue.errors import HandlerError
from tests.process.conftest import BOTH_WAYS, QUICK, WORKERS, Host

HOSTS = BOTH_WAYS

BROKEN: dict[str, tuple[str, str, int | None]] = {
    "missing_package.py": (
        "ModuleNotFoundError",
        "No module named 'no_such_package_at_all'",
        3,
    ),
    "syntax_error.py": ("SyntaxError", "'[' was never closed", 5),
    "raises_at_import.py": ("FileNotFoundError", "no such model.bin", 5),
    "exits_at_import.py": ("SystemExit", "no licence", 5),
}


@pytest.mark.parametrize("worker", BROKEN)
async def test_a_file_that_cannot_be_imported_says_why_and_where(host: Host, worker: str) -> None:
    """Faults 88: phase, file and line; in milliseconds, not at the timeout."""
    kind, text, line = BROKEN[worker]
    with pytest.raises(HandlerError) as caught:
        await host.run(worker)

    assert caught.value.phase == "import"
    assert caught.value.type == kind
    assert text in caught.value.text
    assert caught.value.data["location"]["file"] == str(WORKERS / worker)
    assert caught.value.data["location"]["line"] == line
    assert "nuxt_queue" not in caught.value.traceback


@pytest.mark.parametrize(
    ("worker", "says"),
    [
        ("no_handler.py", "TypeError: no_handler.py has no handler: define `handler(job, ctx)`"),
        ("wrong_arity.py", "must take exactly two arguments: job and ctx"),
    ],
)
async def test_a_file_without_a_usable_handler_says_what_to_do(
    host: Host, worker: str, says: str
) -> None:
    """Faults 82 and 92."""
    with pytest.raises(HandlerError) as caught:
        await host.run(worker)
    assert says in str(caught.value)


async def test_a_wrong_handler_is_named_with_its_line(host: Host) -> None:
    with pytest.raises(HandlerError, match=r"wrong_arity\.py:4\)"):
        await host.run("wrong_arity.py")


async def test_a_file_may_print_megabytes_and_start_threads_while_it_is_imported(
    host: Host,
) -> None:
    """Faults 88, and a job larger than the pipe that waits meanwhile."""
    assert await host.run("busy_at_import.py", "x" * 300_000) == 300_000
    assert await host.printed() == ["x" * 99] * 20_000


async def test_a_file_may_import_itself(host: Host) -> None:
    """Faults 88."""
    assert await host.run("circular_import.py") == "circular_import"


NAMES = [
    "json",
    "asyncio",
    "queue",
    "logging",
    "select",
    "email",
    "types",
    "enum",
    "re",
    "os",
    "random",
    "traceback",
]


async def test_neighbours_named_like_the_standard_library_do_no_harm(host: Host) -> None:
    """Faults 89: 12 of 12 names."""
    for name in NAMES:
        (host.folder / f"{name}.py").write_text("raise ImportError('not the standard library')")
    (host.folder / "beside.py").write_text("NAME = 'beside'")
    worker = host.folder / "worker.py"
    worker.write_text((WORKERS / "imports_its_neighbours.py").read_text())

    got: dict[str, Any] = await host.run(worker, timeouts=QUICK)

    assert got["beside"] == "beside"
    assert not any(str(host.folder) in path for path in got["paths"])
