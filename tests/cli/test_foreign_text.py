"""Whatever other people's text holds, no command prints a control character or a forged line."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest

import nbtools.tag
from nbtools import run_local
from nbtools.emulator.display import html_of, text_of
from nuxt_queue import text
from nuxt_queue.cli import main
from nuxt_queue.cli.board import Board
from nuxt_queue.cli.lines import Lines
from nuxt_queue.services.events import Event
from tests.cli.conftest import Project

FORGED = "flow pair completed"
# A line of its own, a colour, a bell, DEL, C1, overrides and isolates of direction, a blank of no
# width, separators of lines, a tag character, markup.
HOSTILE = f"x\n{FORGED}\r\x1b[32m\x07\x7f\x9b31m\x85\u202e\u2066\u200b\u2028\u2029\U000e0041[red]y"

STEP = """
from nuxt_queue import run_worker

config = {config}
HOSTILE = {hostile!r}

class Failure(Exception):
    pass

Failure.__name__ = Failure.__qualname__ = HOSTILE

async def handler(job, ctx):
    {body}

if __name__ == "__main__":
    run_worker(handler)
"""
SAYS_IT_ALL = """
    ctx.logger.info(HOSTILE, {HOSTILE: HOSTILE})
    print(HOSTILE)
    await ctx.state.set(HOSTILE, HOSTILE)
    await ctx.flow.emit("made", {HOSTILE: [HOSTILE]})
    await ctx.flow.emit(HOSTILE, HOSTILE)
    if job["data"] == {}:
        return {HOSTILE: HOSTILE}
    raise Failure(HOSTILE)
"""


def write(project: Project, step: str, body: str = SAYS_IT_ALL, **flow: Any) -> None:
    config = {"queue": {"name": step}, "timeout": 20000, "flow": {"step": step, **flow}}
    source = STEP.format(config=config, hostile=HOSTILE, body=body.strip())
    (project.workers / f"{step}.py").write_text(source, "utf-8")


def assert_harmless(*outputs: str) -> None:
    for output in outputs:
        lines = output.split("\n")
        assert not [line for line in lines if not line.isprintable()]
        assert not [line for line in lines if line.strip() == FORGED]


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project whose workers, files and settings hold hostile text."""
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("REDIS_URL", raising=False)
    write(project, "first", name="pair", role="entry", emits=["made"])
    write(project, "second", name="pair", role="step", subscribes=["made"])
    (project.workers / f"{HOSTILE.replace('/', '')}.py").write_text("config = {'queue': 5}\n")
    (project.workers / "flow.py").write_text(f"config = {{'queue': {HOSTILE!r}}}\n")
    (project.workers / "key.py").write_text(f"config = {{{HOSTILE!r}: 1}}\n")
    return project


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*argv: object) -> str:
        main([str(arg) for arg in argv])
        out, err = capsys.readouterr()
        assert_harmless(out, err)
        if "--json" in argv:
            json.loads(out)
        return out + err

    return run


def test_running_and_looking_print_no_control_character_and_no_forged_line(
    here: Project, said: Any
) -> None:
    worker = here.workers / "first.py"
    for form in ((), ("--json",)):
        said("run", worker, "--data", "{}", *form)
        failed = said("run", worker, "--data", json.dumps({"a": HOSTILE}), *form)
        assert FORGED in failed  # it is shown, escaped or behind the gutter
        assert said("flow", "start", "pair", "--data", json.dumps({"a": HOSTILE}), *form)
        assert said("scan", *form)
        assert said("doctor", *form)
    for argv in (("scan", HOSTILE), ("enqueue", HOSTILE), ("flow", "show", HOSTILE), (HOSTILE,)):
        with contextlib.suppress(SystemExit):
            said(*argv)


def test_what_is_stored_prints_no_control_character_and_no_forged_line(
    here: Project, said: Any
) -> None:
    data = json.dumps({"a": HOSTILE})
    run_id = said("flow", "start", "pair", "--detach", "--data", data).strip()
    asyncio.run(_work_off(here))
    for form in ((), ("--json",)):
        assert FORGED in said("flow", "show", run_id, *form)
        said("flow", "list", *form)
        said("jobs", *form)
        said("jobs", "--counts", *form)
        said("jobs", "first", f"{run_id}__first", *form)
    for logs in (run_id, f"{run_id}__first"):
        assert FORGED in said("logs", logs)
        said("logs", logs, "--follow", "--last", "2")
    said("flow", "emit", HOSTILE)
    said("flow", "resolve", run_id, HOSTILE)
    said("retry", "first", HOSTILE)


async def _work_off(project: Project) -> None:
    from nuxt_queue.app import open_app

    async with open_app(project.workers, backend="file") as app:
        (started,) = await app.flows.get_running_flows()
        await app.flows.wait(started["id"], 20)
        allowed = "".join(char for char in HOSTILE if char >= " " and char != "\x7f")
        await app.manager.enqueue("first", allowed, HOSTILE, {"jobId": allowed})


EVENTS = [
    Event(kind, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1, data, 1, 0.0)
    for kind, data in (
        ("log", {"level": HOSTILE, "message": HOSTILE, HOSTILE: HOSTILE}),
        ("emit", {"name": HOSTILE, "payload": HOSTILE}),
        ("step.failed", {"error": HOSTILE, "stack": HOSTILE}),
        (HOSTILE, {HOSTILE: HOSTILE}),
        ("flow.failed", {"error": HOSTILE}),
    )
]


@pytest.mark.parametrize("as_json", [False, True])
def test_the_lines_of_a_server_are_one_for_each_event(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    lines = Lines(as_json=as_json)
    for event in EVENTS:
        lines.hear(event)
    lines.note(HOSTILE)
    out, _ = capsys.readouterr()
    assert_harmless(out)
    assert len(out.splitlines()) == len(EVENTS) + 1
    if as_json:
        first = json.loads(out.splitlines()[0])
        assert first["data"]["message"] == HOSTILE  # a program reads what was written


def test_the_board_takes_no_text_for_markup_or_control() -> None:
    from rich.console import Console

    board = Board(HOSTILE)
    for event in EVENTS:
        board.hear(event)
    board.note(HOSTILE)
    page = io.StringIO()
    Console(file=page, width=200, force_terminal=False, color_system=None).print(board.picture(50))
    assert_harmless(page.getvalue())
    assert "[red]y" in page.getvalue()


@pytest.mark.usefixtures("here")
def test_what_libraries_log_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(*_: object) -> None:
        logging.getLogger("asyncio").error("Task failed: %s", HOSTILE, exc_info=ValueError(HOSTILE))
        raise ValueError(HOSTILE)

    monkeypatch.setattr("nuxt_queue.registry.scan", scan)
    main(["scan"])
    out, err = capsys.readouterr()
    assert_harmless(out, err)
    assert [line[:10] for line in err.splitlines()] == ["nq: error:", "nq: a bug "]


async def test_a_run_in_a_notebook_is_shown_without_control_characters() -> None:
    async def handler(_job: Any, ctx: Any) -> str:
        ctx.logger.info(HOSTILE, {HOSTILE: HOSTILE})
        await ctx.state.set(HOSTILE, HOSTILE)
        await ctx.flow.emit(HOSTILE, HOSTILE)
        return HOSTILE

    run = await run_local(handler, {}, config={"flow": {"name": "pair", "step": "first"}})
    assert_harmless(text_of(run), html_of(run))


def test_a_difference_is_exact_in_a_pipe_and_harmless_on_a_terminal(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = tmp_path / "n.ipynb"
    cell = {"cell_type": "code", "metadata": {}, "source": "1", "id": HOSTILE, "outputs": []}
    about = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5, "cells": [cell]}
    notebook.write_text(json.dumps(about, indent=1, ensure_ascii=False), "utf-8")
    assert nbtools.tag.main([str(notebook), "1", "export", "--diff"]) == 0
    assert b"\x7f" in capfdbinary.readouterr().out
    leader, follower = pty.openpty()
    try:
        with os.fdopen(follower, "w") as terminal, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            nbtools.tag.main([str(notebook), "1", "export", "--diff"])
            terminal.flush()
            assert_harmless(os.read(leader, 65536).decode().replace("\r\n", "\n"))
    finally:
        os.close(leader)


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2028, 0xD800, 0xFEFF])
def test_every_control_character_is_escaped_in_text_and_in_json(code: int) -> None:
    char = chr(code)
    assert text.one_line(f"a{char}b").isprintable()
    assert text.json_text([char]).isprintable()
    assert json.loads(text.json_text([char])) == [char]
    assert all(line.isprintable() for line in text.quoted(f"a{char}b\nc"))
    assert not text.has_surrogate(text.utf8(char))


def test_json_for_a_stream_that_is_not_utf8_is_still_json() -> None:
    assert text.json_text(["é😀"], ascii_only=True) == '["\\u00e9\\ud83d\\ude00"]'
    assert text.json_text(["é😀"]) == '["é😀"]'
    assert json.loads(text.json_text(["\U000e0041"])) == ["\U000e0041"]
