"""What the server says of itself is said once in a while, however often it happens."""

from __future__ import annotations

import logging
import threading

import pytest

from nuxt_queue.cli import notices
from nuxt_queue.cli.notices import warnings_to

log = logging.getLogger("asyncio")


class Shown(list[str]):
    def __call__(self, message: str, *, is_bad: bool = False) -> None:
        self.append(f"{'!' if is_bad else ' '}{message}")


class Time:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Return a clock that the test sets."""
    made = Time()
    monkeypatch.setattr(notices, "time", made)
    return made


def test_a_line_that_comes_again_and_again_is_counted(clock: Time) -> None:
    shown = Shown()
    with warnings_to(shown):
        for n in range(50_000):
            log.error("socket.accept() out of system resource", exc_info=OSError(24, "Too many"))
            if n % 10_000 == 0:
                log.warning("something else")
        line = "error: socket.accept() out of system resource: OSError: [Errno 24] Too many"
        assert shown == [f"!{line}", " warning: something else"]
        clock.now += 10
        log.warning("a third")
        assert shown[2:] == [
            f"!{line} (repeated 49,999 times)",
            " warning: something else (repeated 4 times)",
            " warning: a third",
        ]
        log.warning("something else")
    assert shown[5:] == [" warning: something else (repeated 1 time)"]


def test_a_line_that_comes_again_much_later_is_said_again(clock: Time) -> None:
    shown = Shown()
    with warnings_to(shown):
        log.warning("slow")
        clock.now += 10
        log.warning("slow")
    assert shown == [" warning: slow"] * 2


def test_how_often_a_line_came_is_said_when_nothing_else_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notices, "_QUIET_S", 0.01)
    shown, counted = Shown(), threading.Event()

    def note(message: str, *, is_bad: bool = False) -> None:
        shown(message, is_bad=is_bad)
        if "repeated" in message:
            counted.set()

    with warnings_to(note):
        while len(shown) < 2 and not counted.is_set():
            log.warning("again")
            log.warning("again")
        assert counted.wait(5)


def test_without_a_thread_for_it_the_count_comes_with_the_next_line(
    clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    shown = Shown()
    with warnings_to(shown):
        log.warning("again")
        log.warning("again")
        clock.now += 10
        log.warning("more")
        assert shown[1:] == [" warning: again (repeated 1 time)", " warning: more"]
