"""What ran in the notebook is what runs in production: the same handler, both ways (faults 113)."""

from __future__ import annotations

import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import pytest

from nbtools import run_local
from nuxt_queue.errors import HandlerError, NuxtQueueError
from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

DATA = {"n": 3, "text": "größe 😀\u2028", "list": [1, 2.5, None, True]}

SCENARIOS = {
    "async result": "async def handler(job, ctx): return {'got': job['data'], 'id': job['id']}",
    "sync result": "def handler(job, ctx): return [job['data']['n'] * 2, job.name]",
    "no result": "def handler(job, ctx): pass",
    "falsy results": "def handler(job, ctx): return [0, '', False, {}, []]",
    "a tuple and a set": "def handler(job, ctx): return {'t': (1, 2), 's': {3, 1, 2}}",
    "envelope-like data": "def handler(job, ctx): return {'result': 1, 'error': {}, 'id': 7}",
    "data through the job": "def handler(job, ctx): return job['text']",
    "context fields": (
        "def handler(job, ctx):\n    return [ctx.flow_name, ctx.stepName, ctx.attempt, ctx.queue]"
    ),
    "logs of every level": """
        def handler(job, ctx):
            for level in ('debug', 'info', 'warn', 'error', 'odd'):
                ctx.logger.log(level, f'at {level}', {'level': 1, 'n': 2})
            ctx.logger.child({'bound': 1}).info('child', 'not a mapping')
            ctx.logger.info('bad metadata', {'x': float('nan')})
    """,
    "state": """
        async def handler(job, ctx):
            await ctx.state.set('a', {'deep': [1, {'x': None}]})
            ctx.state.set('b', 2)
            first = await ctx.state.incr('b', 3)
            await ctx.state.delete('a')
            return [first, await ctx.state.get('a'), await ctx.state.get('b')]
    """,
    "sync state": """
        def handler(job, ctx):
            ctx.state.set('zero', 0)
            return [ctx.state.get('zero'), ctx.state.get('none'), ctx.state.delete('zero')]
    """,
    "events": """
        async def handler(job, ctx):
            await ctx.flow.emit('a', {'n': 1})
            ctx.emit({'type': 'emit', 'data': {'name': 'b', 'n': 2}})
            ctx.flow.emit('c')
            ctx.flow.emit('d', 5)
    """,
    "gather": """
        import asyncio
        async def handler(job, ctx):
            await asyncio.gather(*(ctx.state.incr('n') for _ in range(50)))
            return await ctx.state.get('n')
    """,
    "threads": """
        from concurrent.futures import ThreadPoolExecutor
        def handler(job, ctx):
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _: ctx.state.incr('n'), range(40)))
            return ctx.state.get('n')
    """,
    "raises": "def handler(job, ctx): raise ValueError('bad input')",
    "raises without a message": "def handler(job, ctx): raise LookupError",
    "a missing key": "async def handler(job, ctx): return job['data']['missing']",
    "NaN": "def handler(job, ctx): return {'a': [1, {'loss': float('nan')}]}",
    "an object": "def handler(job, ctx): return {'x': object}",
    "state that JSON cannot hold": "def handler(job, ctx): ctx.state.set('s', {'x': 1j})",
    "a failed call that nobody awaited": """
        async def handler(job, ctx):
            ctx.state.set('text', 'x')
            ctx.state.incr('text')
    """,
    "a failed call in a plain function": """
        def handler(job, ctx):
            ctx.state.set('text', 'x')
            ctx.state.incr('text')
    """,
    "a payload that would route": "def handler(job, ctx): ctx.flow.emit('a', {'flowId': 'x'})",
    "numpy": """
        import numpy as np
        def handler(job, ctx):
            ctx.state.set('array', np.arange(6).reshape(2, 3))
            return {'f': np.float32(0.5), 'i': np.int64(7), 'b': np.bool_(True)}
    """,
    "times and ids": """
        import datetime, decimal, pathlib, uuid
        def handler(job, ctx):
            return [datetime.datetime(2026, 1, 2, 3, 4, 5), datetime.timedelta(minutes=1),
                    decimal.Decimal('1.10'), pathlib.PurePosixPath('a/b'), uuid.UUID(int=1), b'ab']
    """,
    "logs in an order": """
        async def handler(job, ctx):
            for n in range(200):
                ctx.logger.info(f'line {n}', {'n': n})
    """,
    "a log of many lines and none": """
        def handler(job, ctx):
            ctx.logger.info('one\\ntwo\\r\\nthree')
            ctx.logger.warn('')
            ctx.logger.error('größe 😀\\u2028', {'deep': {'a': [1, None]}})
    """,
    "state of every kind": """
        async def handler(job, ctx):
            for key, value in {'n': None, 't': True, 'f': 1.5, 's': '', 'l': [], 'o': {}}.items():
                await ctx.state.set(key, value)
            return [await ctx.state.get(key) for key in 'ntfslo']
    """,
    "state that is overwritten and taken away": """
        async def handler(job, ctx):
            await ctx.state.set('a', 1)
            await ctx.state.set('a', {'n': 2})
            await ctx.state.set('b', 1)
            await ctx.state.delete('b')
            await ctx.state.delete('never')
            return await ctx.state.get('b')
    """,
    "counting down": """
        def handler(job, ctx):
            return [ctx.state.incr('n'), ctx.state.incr('n', -5), ctx.state.incr('n', 0)]
    """,
    "what was set is a copy": """
        async def handler(job, ctx):
            rows = [1]
            await ctx.state.set('rows', rows)
            rows.append(2)
            (await ctx.state.get('rows')).append(3)
            return await ctx.state.get('rows')
    """,
    "events of one name": """
        async def handler(job, ctx):
            for n in range(20):
                await ctx.flow.emit('again', {'n': n})
    """,
    "an exception with a cause": """
        def handler(job, ctx):
            try:
                {}['x']
            except KeyError as error:
                raise RuntimeError('no x') from error
    """,
    "an exception of its own": """
        class OwnError(Exception):
            def __str__(self): return 'größe\\nof two lines'
        async def handler(job, ctx): raise OwnError(1, 2)
    """,
    "an exception group": """
        import asyncio
        async def handler(job, ctx):
            async def fail(): raise ValueError('inside')
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
    """,
    "an assertion": "def handler(job, ctx): assert job['data']['n'] == 4, 'n is not 4'",
    "what it did before it failed": """
        async def handler(job, ctx):
            ctx.logger.info('before')
            await ctx.state.set('half', True)
            await ctx.flow.emit('started')
            raise OSError(2, 'gone')
    """,
    "sys.exit in a plain function": "import sys\ndef handler(job, ctx): sys.exit(3)",
    "a large result": "def handler(job, ctx): return ['x' * 1000] * 2000",
    "deep nesting": """
        def handler(job, ctx):
            value = 1
            for _ in range(400): value = [value]
            return value
    """,
    "nested too deep": """
        def handler(job, ctx):
            value = 1
            for _ in range(600): value = [value]
            return value
    """,
    "a cycle": "def handler(job, ctx):\n    value = []\n    value.append(value)\n    return value",
    "keys that collide": "def handler(job, ctx): return {1: 'a', '1': 'b'}",
    "half a character": "def handler(job, ctx): return '\\ud800'",
    "integers beyond a float": "def handler(job, ctx): return [2**53, -2**53, 2**70]",
    "enums and dataclasses": """
        import dataclasses, enum
        class Colour(enum.Enum): RED = 'red'
        @dataclasses.dataclass
        class Point: x: int; colours: list
        def handler(job, ctx): return Point(1, [Colour.RED])
    """,
    "pandas": """
        import pandas as pd
        def handler(job, ctx):
            table = pd.DataFrame({'a': [1, 2], 'b': ['x', None]})
            ctx.state.set('table', table)
            return {'table': table, 'column': table['a'], 'when': pd.Timestamp('2026-01-02')}
    """,
    "an awaitable from a plain function": """
        async def later(): return 5
        def handler(job, ctx): return later()
    """,
    "the data is the handler's own": """
        def handler(job, ctx):
            job['data']['n'] = 99
            job['data']['list'].clear()
            return job['data']
    """,
    "a generator is no result": "def handler(job, ctx): return (n for n in range(3))",
    "a child logger in a thread": """
        import threading
        def handler(job, ctx):
            log = ctx.logger.child({'part': 1})
            thread = threading.Thread(target=lambda: log.warn('from a thread', {'n': 2}))
            thread.start(); thread.join()
    """,
}


async def in_the_notebook(source: str) -> dict[str, Any]:
    module = sys.modules["a_notebook"] = types.ModuleType("a_notebook")
    namespace = vars(module)
    exec(compile(source, "notebook", "exec", dont_inherit=True), namespace)  # as a kernel does
    from nbtools import LocalRunContext

    ctx = LocalRunContext(
        flow_name="flow", step_name="step", queue="q", job_id="7", flow_id="run-1"
    )
    try:
        outcome: dict[str, Any] = {
            "result": (await run_local(namespace["handler"], DATA, ctx=ctx)).result
        }
    except Exception as error:  # noqa: BLE001 whatever it is, it is compared
        told = str(error) if isinstance(error, HandlerError) else f"{type(error).__name__}: {error}"
        outcome = {"error": told.removesuffix(": ")}
    return outcome | {
        "logs": [(line.level, line.message, line.metadata) for line in ctx.logs],
        "emitted": [(event.name, event.payload) for event in ctx.emitted],
        "state": ctx.state.contents,
    }


async def in_a_process(source: str, folder: Path) -> dict[str, Any]:
    worker = folder / "worker.py"
    worker.write_text(source, "utf-8")
    service = ContextService(MemoryStateStore(), EventBus())
    scope = Scope(
        job_id="7", queue="q", flow_id="run-1", flow_name="flow", step_name="step", step_id="x"
    )
    job = {"id": "7", "name": "step", "data": DATA, "attemptsMade": 0, "opts": {}}
    outcome: dict[str, Any]
    async with ChildProcessRunner(worker, timeout_ms=30_000) as runner:
        try:
            outcome = {"result": await runner.execute(job, service.for_job(scope))}
        except HandlerError as error:
            outcome = {"error": str(error)}
    events = await service.bus.read("run-1")
    logs = [dict(event.data) for event in events if event.type == "log"]
    return outcome | {
        "logs": [(log.pop("level"), log.pop("message"), log) for log in logs],
        "emitted": [(e.data["name"], e.data["payload"]) for e in events if e.type == "emit"],
        "state": await service.state.all("run-1"),
    }


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_handler_does_the_same_in_the_notebook_and_in_a_process(
    name: str, tmp_path: Path
) -> None:
    source = textwrap.dedent(SCENARIOS[name])
    assert await in_the_notebook(source) == await in_a_process(source, tmp_path)


def test_there_are_enough_scenarios() -> None:
    assert len(SCENARIOS) >= 40


def test_errors_that_both_ways_share_are_the_kits_own() -> None:
    assert issubclass(HandlerError, NuxtQueueError)
