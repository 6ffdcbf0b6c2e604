"""docs/queues.md: its example is a config that can be read, and its numbers are the real ones."""

from __future__ import annotations

import inspect
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from nuxt_queue.config import complete_config
from nuxt_queue.managers import FileWorkerManager, JobOptions, MemoryWorkerManager, WorkerOptions
from nuxt_queue.managers.bullmq import BullMQWorkerManager, Stalling
from nuxt_queue.managers.file import lease
from nuxt_queue.managers.file.owners import LEASE_S
from nuxt_queue.services.awaits import check_await
from nuxt_queue.services.redis import RedisEventStream, RedisFlowStore, RedisLimits
from nuxt_queue.services.redis.address import _OPTIONS, Address
from nuxt_queue.services.sqlite import Database, SqliteFlowStore
from nuxt_queue.services.sqlite.examination import problems_of

PAGE = (Path(__file__).parents[2] / "docs" / "queues.md").read_text("utf-8")


def test_the_example_is_a_config_whose_wait_can_end() -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    given: dict[str, Any] = {}
    exec(f"from nuxt_queue import define_config\n{source}", given)
    config = complete_config(given["config"], stem="publish")

    check_await(config["flow"]["awaitBefore"], "awaitBefore")


def test_every_option_that_the_page_names_is_one_and_none_is_left_out() -> None:
    table = PAGE.partition("## What a job may ask for")[2].partition("A registration")[0]
    named = {
        name
        for line in table.splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1] if line.startswith("| `") else "")
    }

    assert named == {field.alias for field in JobOptions.model_fields.values()}
    assert "limiter" in WorkerOptions.model_fields


def test_the_numbers_of_the_page_are_the_real_ones() -> None:
    kept = inspect.signature(FileWorkerManager).parameters["max_finished"].default
    runs = inspect.signature(SqliteFlowStore).parameters["keep_ended"].default

    assert f"{kept:,} completed and {kept:,} failed jobs a queue and {runs:,} runs" in PAGE
    assert f"after {LEASE_S:g}." in PAGE
    assert "another manager takes them over within 2 seconds" in PAGE
    assert lease._BEAT_S * 2 <= 2  # one look may just have passed


def test_the_numbers_of_redis_are_the_real_ones() -> None:
    times, limits = Stalling(), RedisLimits()
    runs = inspect.signature(RedisFlowStore).parameters
    week = inspect.signature(RedisEventStream).parameters["ttl_s"].default

    assert f"fails within {limits.operation_s:g} s when Redis is away" in PAGE
    assert f"`ctx.state` waits {limits.operation_s:g} s too" in PAGE
    assert limits.connections <= 50
    assert "at most 50 connections" in PAGE
    assert f"each of the first {limits.waiting} queues of a process" in PAGE
    assert f"lock holds for {times.lock_s:g} s" in PAGE
    assert f"looked for every {times.stalled_s:g} s" in PAGE
    assert times.lock_s + 2 * times.stalled_s < 25
    assert "back within 25 s" in PAGE
    assert week == 7 * 86_400
    assert runs["ttl_s"].default == 30 * 86_400
    assert f"the last {runs['keep_ended'].default:,}, for 30 days at most" in PAGE


def test_every_form_of_the_address_is_one_and_the_options_are_all_named() -> None:
    table = PAGE.partition("### The address")[2].partition("## What a job may ask for")[0]
    forms = re.findall(r"`([a-z+]+://[^`]+)`", table)

    assert len(forms) == 4
    for form in forms:
        Address.parse(form.replace("port", "6379").replace("/db", "/0").replace("db=0", "db=1"))
    options = table.partition("Options after `?` are")[2].partition("with TLS")[0]
    assert set(re.findall(r"`(\w+)`", options)) == _OPTIONS


async def test_the_copy_of_the_page_is_whole_while_a_server_runs(tmp_path: Path) -> None:
    (command,) = re.findall(r"`sqlite3 data/queue.sqlite3 \"(VACUUM INTO '[^']+')\"`", PAGE)
    data, copied = tmp_path / "data", tmp_path / "restored"
    copied.mkdir()
    insert = "INSERT INTO queues (name) VALUES (?)"
    async with Database(data) as database:
        await database.write(lambda db: db.execute(insert, ("a",)) and None)
        with closing(sqlite3.connect(data / "queue.sqlite3")) as db:
            db.execute(command.replace("copy.sqlite3", str(copied / "queue.sqlite3")))
        await database.write(lambda db: db.execute(insert, ("b",)) and None)

    async with Database(copied) as database:
        found = await database.read(lambda db: db.execute("SELECT name FROM queues").fetchall())
        assert await database.read(problems_of) == []
    assert found == [("a",)]


def test_every_operation_that_the_page_names_is_one() -> None:
    (line,) = re.findall(r"^`retry_job`.*$", PAGE, re.MULTILINE)
    for name in re.findall(r"`(\w+)`", line):
        assert callable(getattr(BullMQWorkerManager, name))
        assert callable(getattr(FileWorkerManager, name))
        assert callable(getattr(MemoryWorkerManager, name))
