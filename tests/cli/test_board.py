"""The picture of `nq serve` says its numbers whole, however small the terminal is."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from nuxt_queue.cli.board import Board
from nuxt_queue.managers import JobOptions, JobRecord
from nuxt_queue.monitoring import Snapshot
from nuxt_queue.rpc.codec import Encoded

STATES = ("waiting", "active", "delayed", "failed", "completed")


def picture(width: int, height: int) -> list[str]:
    board = Board("workers from .nuxt-queue")
    counts = dict.fromkeys(STATES, 12345) | {"paused": 0}
    now_ms = int(time.time() * 1000)
    running = [
        JobRecord(f"{n}-[bold]", "greet", "greet", Encoded(b"{}"), JobOptions(attempts=3), now_ms)
        for n in range(50)
    ]
    for job in running:
        job.processed_on = now_ms - 65_000
    long = dict.fromkeys(STATES, 0) | {"paused": 0}
    board._snapshot = Snapshot({"greet": counts, "q" * 300: long}, running, "")
    for n in range(30):
        board.note(f"note {n}")
    board._console = Console(width=width, height=height, file=io.StringIO())
    out = Console(width=width, file=io.StringIO(), color_system=None)
    out.print(board.picture(height))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_numbers_are_whole_and_names_are_what_they_are(width: int) -> None:
    lines = picture(width, 24)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert all(state in text for state in STATES)
    assert text.count("12345") == len(STATES)
    assert "0-[bold]" in text  # a name is no markup
    assert "1:05" in text
    assert "1 of 3" in text


def test_a_narrow_terminal_has_every_number() -> None:
    lines = picture(50, 24)
    assert max(map(len, lines)) <= 50
    assert "\n".join(lines).count("12345") == len(STATES)


@pytest.mark.parametrize("height", [16, 24, 60])
def test_the_last_events_have_their_place_however_many_jobs_run(height: int) -> None:
    lines = picture(100, height)
    assert len(lines) <= height
    assert [line.split()[-1] for line in lines[-3:]] == ["27", "28", "29"]


def test_of_many_queues_those_with_work_are_shown_and_there_is_room_for_jobs() -> None:
    board = Board("workers")
    idle = dict.fromkeys(STATES, 0) | {"paused": 0}
    counts = {f"queue{n:02}": dict(idle) for n in range(40)}
    counts["queue33"]["waiting"] = 7
    job = JobRecord(
        "a-job", "greet", "greet", Encoded(b"{}"), JobOptions(), int(time.time() * 1000)
    )
    board._snapshot = Snapshot(counts, [job], "")
    for n in range(9):
        board.note(f"note {n}")
    out = Console(width=100, height=24, file=io.StringIO(), color_system=None)
    board._console = out
    out.print(board.picture(24))
    assert isinstance(out.file, io.StringIO)
    text = out.file.getvalue()

    assert len(text.splitlines()) <= 24
    assert "queue33" in text
    assert "a-job" in text
    assert "note 8" in text
    assert "… and 32 more queues" in text
