"""Workers of Node in real processes: what a handler gets, and what it can do with it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import HandlerError, ValuePathError
from nuxt_queue.rpc import methods
from nuxt_queue.runner.nodejs import NODE_BOOTSTRAP
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.scope import Scope
from tests.process.conftest import SCOPE, WORKERS, Host

ISOLATED: dict[str, Any] = {"runtime": "node-isolated"}
LARGE = 2**53 + 1


class Flows:
    """Says what it was asked."""

    async def start_flow(self, name: str, payload: Any = None) -> dict[str, Any]:
        return {"id": "j", "queue": "q", "step": "s", "flowId": "new", "was": [name, payload]}

    async def cancel_flow(self, name: str, run_id: str) -> Any:
        return ["cancelled", name, run_id]

    async def restart_flow(self, name: str, run_id: str) -> Any:
        return ["restarted", name, run_id]

    async def is_running(
        self,
        name: str | None = None,
        run_id: str | None = None,
        *,
        exclude_run_ids: tuple[str, ...] = (),
    ) -> bool:
        return (name, run_id, exclude_run_ids) == ("other", "run7", ("run1",))

    async def get_running_flows(
        self, name: str | None = None, *, exclude_run_ids: tuple[str, ...] = ()
    ) -> list[dict[str, Any]]:
        return [{"name": name, "excluded": list(exclude_run_ids)}]

    async def get_flow_stats(self, name: str) -> dict[str, Any] | None:
        return {"name": name}

    async def get_all_flow_stats(
        self, *, offset: int = 0, limit: int | None = None
    ) -> list[dict[str, Any]]:
        return [{"offset": offset, "limit": limit}]

    async def has_flow_stats(self, name: str) -> bool:
        return name == "other"


@pytest.mark.parametrize("runtime", ["node", "node-isolated"])
async def test_a_worker_of_node_runs_and_returns(host: Host, runtime: str) -> None:
    data = {"text": "é😀\u2028", "list": [1, None, {"a": 0.1}]}
    runner = host.runner("node/echo.mjs", runtime=runtime)
    job = {"id": "1", "name": "n", "data": data, "attemptsMade": 0, "opts": {}}
    assert await runner.execute(job, host.service.for_job(SCOPE)) == data
    await runner.close()


async def test_a_worker_in_typescript_sees_its_job_and_who_it_is(
    host: Host, node_project: Path
) -> None:
    """host-contract 2: the same fields as in Python; a payload's keys are found on the job too."""
    worker = shutil.copy(WORKERS / "node" / "says_who_it_is.ts", node_project / "sizes.ts")
    got = await host.run(Path(worker), {"size": 11}, **ISOLATED)
    assert got == {
        "kind": "large",
        "job": {"id": "job1", "name": "train", "data": {"size": 11}, "attemptsMade": 0, "opts": {}},
        "fields": {
            "jobId": "job1",
            "queue": "q",
            "flowId": "run1",
            "flowName": "f",
            "stepName": "train",
            "stepId": "run1__train__attempt-1",
            "attempt": 1,
            "trigger": None,
            "awaitConfig": None,
            "extra": {},
        },
        "file": "sizes.ts",
        "cwd": str(node_project),
        "marks": [],
    }
    assert await host.logs() == []


IMPORTED = """
import { defineQueueConfig, defineQueueWorker } from '#imports'
export const config = defineQueueConfig({ queue: 'q' })
export default defineQueueWorker(async (job) => [config.queue, job.n])
"""
REQUIRED = """
const { defineFunction } = require('#imports')
module.exports = defineFunction((job) => ['q', job.n])
module.exports.config = { queue: 'q' }
"""


@pytest.mark.parametrize(
    ("name", "source", "package"),
    [
        ("w.mjs", IMPORTED, "{}"),
        ("w.js", IMPORTED, '{"type": "module"}'),
        ("w.js", IMPORTED, "{}"),
        ("w.cjs", REQUIRED, "{}"),
        ("w.js", REQUIRED, "{}"),
        ("w.js", REQUIRED, '{"type": "commonjs"}'),
        ("w.ts", IMPORTED, "{}"),
        ("w.ts", IMPORTED, '{"type": "module"}'),
        ("w.mts", IMPORTED, "{}"),
        ("w.cts", IMPORTED, "{}"),
        ("a b#%41ü?.mjs", IMPORTED, "{}"),
    ],
)
async def test_what_the_host_auto_imports_can_be_imported_by_name(
    host: Host, node_project: Path, name: str, source: str, package: str
) -> None:
    """In every kind of file there is, and in a package of either kind."""
    (node_project / "package.json").write_text(package)
    worker = node_project / name
    worker.write_text(source)
    assert await host.run(worker, {"n": 3}, **ISOLATED) == ["q", 3]
    assert await host.logs() == []


async def test_every_call_of_the_context_is_there(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """host-contract 2, and all of what the parent answers."""
    called = set()
    answer = JobContext._call

    async def call(self: JobContext, method: str, params: Any) -> Any:
        called.add(method)
        return await answer(self, method, params)

    monkeypatch.setattr(JobContext, "_call", call)
    host.service = ContextService(host.state, host.service.bus, Flows())
    got = await host.run("node/uses_everything.mjs", **ISOLATED)
    # `ctx.emit` is a name of older hosts for what `ctx.flow.emit` does.
    assert called == set(JobContext._TABLE) - {methods.EMIT}
    assert got == {
        "set": {"a": [1, None, "é😀"]},
        "missing": None,
        "incr": [1, 5, 4.5],
        "deleted": [True, None],
        "started": {
            "id": "j",
            "queue": "q",
            "step": "s",
            "flowId": "new",
            "was": ["other", {"x": 1}],
        },
        "restarted": ["restarted", "other", "run7"],
        "cancelled": ["cancelled", "other", "run7"],
        "cancelledOwn": ["cancelled", "f", "run1"],
        "running": [False, True, False],
        "runs": [{"name": "other", "excluded": ["run8"]}],
        "stats": {"name": "other"},
        "allStats": [{"offset": 2, "limit": 1}],
        "hasStats": True,
    }
    assert await host.events("emit") == [
        {"name": "first", "payload": {"a": 1}},
        {"name": "second", "payload": {"value": [1, 2]}},
        {"name": "third", "payload": {}},
        {"name": "fourth", "payload": {"b": 2}},
    ]
    assert await host.events("log") == [
        *({"n": 1, "level": level, "message": level} for level in ("debug", "info", "warn")),
        {"n": 1, "level": "error", "message": "error"},
        {"value": True, "level": "info", "message": "log"},
        {"level": "info", "message": "unknown level"},
        {"part": "a", "level_": "x", "message_": "y", "level": "info", "message": "child"},
        {
            "metadataError": (
                "metadata.bad is the bigint 1n, which JSON does not have; send it as a string"
            ),
            "level": "info",
            "message": "an error",
        },
    ]


async def test_the_parts_of_the_context_may_be_taken_apart(host: Host) -> None:
    """As in the host, whose context is made of closures."""
    worker = host.folder / "apart.mjs"
    worker.write_text(
        "export default async ({ data, n }, { state: { set, get }, logger: { info }, emit }) => {\n"
        "  info('apart', { n })\n"
        "  await set('k', data)\n"
        "  await emit('e')\n"
        "  return get('k')\n"
        "}\n"
    )
    assert await host.run(worker, {"n": 3}, **ISOLATED) == {"n": 3}
    assert await host.events("log") == [{"n": 3, "level": "info", "message": "apart"}]
    assert len(await host.events("emit")) == 1


async def test_a_call_that_the_host_lacks_says_so(host: Host) -> None:
    with pytest.raises(HandlerError) as caught:
        await host.run("node/uses_everything.mjs", **ISOLATED)
    assert str(caught.value) == (
        "NotSupportedByHost: this host has no ctx.flow.startFlow, which ctx.flow.startFlow() needs"
    )


async def test_a_thousand_calls_and_lines_keep_their_order(host: Host) -> None:
    """Faults 27, 49 and 50."""
    assert await host.run("node/sends_many.mjs", {"lines": 5_000, "calls": 1_000}, **ISOLATED)
    assert await host.logs() == [f"line {n}" for n in range(5_000)]


@pytest.mark.parametrize("payload", ["nothing", "handled"])
async def test_a_forgotten_await_loses_nothing(host: Host, payload: str) -> None:
    """host-contract 7 row 2: written when made, drained before the answer."""
    got = await host.run("node/forgets_await.mjs", {"payload": payload}, **ISOLATED)
    assert got == "answered"
    assert await host.state.all("run1") == {"k": 1, "text": 1}
    assert await host.events("emit") == [{"name": "told", "payload": {"a": 1}}]


async def test_a_forgotten_call_that_fails_fails_the_job(host: Host) -> None:
    """host-contract 7 row 2."""
    with pytest.raises(HandlerError) as caught:
        await host.run("node/forgets_await.mjs", {"payload": "fails"}, **ISOLATED)
    assert str(caught.value).startswith(
        'CallFailedError: ctx.state.set("k") was not awaited and failed: the only option'
    )


async def test_a_call_after_the_answer_reaches_nobody(host: Host) -> None:
    """Faults 47."""
    assert await host.run("node/calls_late.mjs", **ISOLATED) == "answered"
    assert await host.state.all("run1") == {}
    assert await host.logs() == ['PeerClosedError: ctx.state.set("late"): the job has ended']


VALUES: dict[str, Any] = {
    "nothing": None,
    "null": None,
    "false": False,
    "response": {"jsonrpc": "2.0", "error": {"code": 1}, "id": 1, "result": 2},
    "numbers": [0, 0, 1.5, 5e-324, 1e308, 0.1 + 0.2, 2**53 - 1, 1e21],
    "text": 'NUL \0, separators \u2028\u2029, é😀, "quoted"\n',
    "date": "1970-01-01T00:00:00.000Z",
    "map": {"a": 1, "b": [1, 2]},
    "bytes": "AQL/",
    "part of a buffer": "AQL/",
    "buffer": "dGV4dA==",
    "floats": [0.5, 1],
    "instance": {"x": 1, "y": 2},
    "url": "https://example.org/a",
    "own form": {"made": [1]},
    "optional": {"a": 1},
    "proto": {"__proto__": {"a": 1}},
    "shared": [{"a": 1}, {"a": 1}],
}
REFUSED = {
    "nan": "result.losses[1] is NaN, which JSON does not have; use null or leave it out",
    "infinity": "result.a[1] is -Infinity, which JSON does not have; use null or leave it out",
    "large": "result.n is 9007199254740992, an integer that JavaScript rounds; send it as a string",
    "bigint": "result.n[0] is the bigint 10n, which JSON does not have; send it as a string",
    "undefined item": "result.a[1] is undefined, which JSON does not have; use null",
    "hole": "result[1] is undefined, which JSON does not have; use null",
    "function": "result.a.run is a function, which JSON cannot hold; return plain data",
    "symbol": "result[0] is a symbol, which JSON cannot hold; return plain data",
    "promise": "result.later is a promise: `await` it first",
    "error": "result[0] is an error; throw it, or return its message",
    "regex": 'result["a b"] is a regular expression; return its source',
    "bad date": "result[0] is an invalid date",
    "surrogate": "result.a holds half of a surrogate pair; JSON text is Unicode",
    "surrogate key": "a key of result holds half of a surrogate pair; JSON text is Unicode",
    "map key": "result.m has a number as a key; JSON keys are strings",
    "cycle": "result.self[0] contains itself",
    "deep": f"result{'[0]' * 24}[0… is nested deeper than 512 levels",
}


async def test_a_value_becomes_its_documented_form_or_is_refused_with_its_place(
    host: Host,
) -> None:
    """Faults 35, 36, 38, 39, 41 and 42: nothing is dropped or made a string silently."""
    runner = host.runner("node/returns_anything.mjs", runtime="node")
    context = host.service.for_job(SCOPE)
    got: dict[str, Any] = {}
    for name in (*VALUES, *REFUSED):
        try:
            got[name] = await runner.execute({"id": "1", "data": name}, context)
        except HandlerError as error:
            got[name] = error.text
    await runner.close()
    assert got == {**VALUES, **REFUSED}


async def test_an_integer_that_node_would_round_is_not_sent_to_it(host: Host) -> None:
    """Faults 37: refused with its place, in the job and in an answer."""
    job = {"id": "1", "data": {"a": [1, LARGE]}}
    runner = host.runner("node/echo.mjs", **ISOLATED)
    with pytest.raises(ValuePathError) as caught:
        await runner.execute(job, host.service.for_job(SCOPE))
    assert str(caught.value) == (
        f"job.data.a[1] is {LARGE}, which JavaScript would round; send it as a string"
    )
    edge = {"edges": [2**53 - 1, -(2**53) + 1, 0.5, 1e300]}
    assert await host.run("node/echo.mjs", edge, **ISOLATED) == edge


async def test_state_that_node_would_round_is_an_error_of_the_call(host: Host) -> None:
    """Faults 37."""
    worker = host.folder / "reads.mjs"
    worker.write_text("export default (job, ctx) => ctx.state.get('k')\n")
    await host.state.set("run1", "k", [LARGE])
    with pytest.raises(HandlerError) as caught:
        await host.run(worker, **ISOLATED)
    assert str(caught.value) == (
        f"RpcError: ctx.state.get[0] is {LARGE}, which JavaScript would round; send it as a string"
    )


async def test_a_job_outside_a_flow_has_a_context_too(host: Host) -> None:
    worker = host.folder / "alone.mjs"
    worker.write_text("export default (job, ctx) => [ctx.flowId, ctx.jobId, job.name]\n")
    scope = Scope("7", "q", step_name="alone")
    assert await host.run(worker, scope=scope, **ISOLATED) == [None, "7", "train"]


def test_both_sides_have_the_same_names() -> None:
    """The names of the wire are stated once in each language."""
    source = (NODE_BOOTSTRAP.parent / "methods.mjs").read_text("utf-8")
    found = dict(re.findall(r"^export const (\w+) = '(.*)'$", source, re.MULTILINE))
    known = {name: getattr(methods, name) for name in found}
    assert found == known
    fields = re.search(r"CONTEXT_FIELDS = \[(.*?)\]", source, re.DOTALL)
    levels = re.search(r"LOG_LEVELS = \[(.*?)\]", source)
    assert fields is not None
    assert levels is not None
    assert re.findall(r"'(\w+)'", fields[1]) == list(methods.CONTEXT_FIELDS.values())
    assert re.findall(r"'(\w+)'", levels[1]) == list(methods.LOG_LEVELS)
