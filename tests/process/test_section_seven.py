"""Host-contract section 7, row by row, as far as the child's side can keep it.

A test is named after its row and runs a real child under the seed-letter host.  Without a child's
side, and so without a test here:

| row | whose | what |
|---|---|---|
| 17 | host | which Python runs a worker, and for how long at most |
| 18 | host | how a worker is found for a job |
| 19 | host | TypeScript workers in a process of their own |
| 20 | exporter, registry | defaults and warnings of a config; `define_config` keeps it as it is |
| 28 | host | stderr line by line, at a level |

Of row 5 the main guard is the exporter's, of row 6 one runner state a job is the host's, of row 7
a host that survives a missing Python; of row 14 the ladder of signals is the host's.

At least one test of each row runs with the installed SDK, and with the copy that
`nq-export --vendor` makes on every newer Python that is on the machine, without site-packages.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from nbtools.exporter.vendor import FOLDER, vendor_sdk
from nuxt_queue.rpc import methods
from tests.process.conftest import WAIT_S
from tests.process.seed_letter_host import CONTEXT, JobFailedError, SeedLetterHost
from tests.pythons import newer_pythons

ENDING = '\nif __name__ == "__main__":\n    run_worker(handler)\n'


@dataclass(frozen=True)
class Setup:
    """A Python, and where it finds the SDK."""

    python: tuple[str, ...]
    env: dict[str, str]

    def host(self, **knobs: Any) -> SeedLetterHost:
        """Make a host for one job."""
        return SeedLetterHost(python=self.python, env=self.env, **knobs)


INSTALLED = Setup((sys.executable,), {})


class Run:
    """One job of a worker that is written down in a test."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        self.folder, self.setup = folder, setup
        self.host = setup.host()

    async def __call__(self, source: str, data: Any = None, **given: Any) -> Any:
        """Run it; `ending` replaces the usual last lines, `context` the usual context."""
        path = self.write(source, given.pop("ending", ENDING))
        result = await self.host.execute(path, data, **given)
        assert self.host.lost == []
        return result

    def write(self, source: str, ending: str = ENDING) -> str:
        """Write the worker's file and return its path."""
        path = self.folder / "worker.py"
        imports = "from nuxt_queue import run_worker\n"
        path.write_text(imports + textwrap.dedent(source) + ending, "utf-8")
        return str(path)


@pytest.fixture(scope="session")
def vendored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vendored")
    vendor_sdk(folder)
    return folder / FOLDER


@pytest.fixture(params=["installed", sys.executable, *newer_pythons()], ids=lambda p: Path(p).name)
async def run(request: pytest.FixtureRequest, tmp_path: Path, vendored: Path) -> AsyncIterator[Run]:
    setup = Setup((request.param, "-S"), {"PYTHONPATH": str(vendored)})
    made = Run(tmp_path, INSTALLED if request.param == "installed" else setup)
    yield made
    await made.host.cleanup()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Run]:
    """One setup, for what follows from a row in detail."""
    made = Run(tmp_path, INSTALLED)
    yield made
    await made.host.cleanup()


def handler(body: str, *, kind: str = "async def") -> str:
    return f"{kind} handler(job, ctx):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"


async def test_row_01_both_emits_go_out_as_ctx_flow_emit(run: Run) -> None:
    body = """
    await ctx.emit({"type": "emit", "data": {"name": "a", "n": 1}})
    await ctx.flow.emit("b", {"n": 2})
    """
    await run(handler(body))
    assert run.host.emitted == [
        {"trigger": "a", "payload": {"n": 1}},
        {"trigger": "b", "payload": {"n": 2}},
    ]


async def test_row_01_a_host_that_lacks_it_gets_ctx_emit_and_is_not_asked_again(run: Run) -> None:
    asked: list[dict[str, Any]] = []
    del run.host.methods["ctx.flow.emit"]
    run.host.methods["ctx.emit"] = asked.append
    await run(handler('await ctx.flow.emit("a", {"n": 1})\nawait ctx.flow.emit("b")'))
    assert [params["event"]["data"]["name"] for params in asked] == ["a", "b"]
    assert asked[0]["event"] == {"type": "emit", "data": {"name": "a", "n": 1}}


async def test_row_02_calls_that_were_not_awaited_arrive_before_the_result(run: Run) -> None:
    assert await run(handler('ctx.state.set("k", 1)\nctx.flow.emit("e")\nreturn 2')) == 2
    assert run.host.state == {"k": 1}
    assert [event["trigger"] for event in run.host.emitted] == ["e"]


async def test_row_02_one_of_them_that_fails_fails_the_job(run: Run) -> None:
    del run.host.methods["ctx.state.set"]
    with pytest.raises(JobFailedError, match=r"ctx\.state\.set\('k'\) was not awaited and failed"):
        await run(handler('ctx.state.set("k", 1)'))


async def test_row_02_a_call_is_written_when_it_is_made(here: Run) -> None:
    """Before a log line that comes after it, awaited or not."""
    body = 'ctx.state.set("k", 1)\nctx.logger.info("then")\nctx.flow.emit("e")\nctx.state.get("k")'
    await here(handler(body))
    assert [request["method"] for request in here.host.requests] == [
        "ctx.state.set", "ctx.logger.log", "ctx.flow.emit", "ctx.state.get",
    ]  # fmt: skip


async def held_back(run: Run, body: str, kind: str) -> bool:
    """Tell whether the result waits for the host's answer to the one call that a body makes."""
    run.host = host = run.setup.host(withholds=True)
    await host.start(run.write(handler(body, kind=kind)), {})
    await host.until(lambda: host.requests)
    for _ in range(20):  # a child that did not wait would have answered by now
        await host.round_trip()
    waits = all(answer["id"] != 1 for answer in host.answers)
    host.acknowledge()
    assert await host.answer() == "done"
    return waits


@pytest.mark.parametrize("call", ['ctx.state.set("k", 1)', 'ctx.flow.emit("e")'])
async def test_row_02_the_result_waits_for_them(here: Run, call: str) -> None:
    assert await held_back(here, f'{call}\nreturn "done"', "async def")


async def test_row_03_set_takes_options_and_delete_is_there(run: Run) -> None:
    sent: list[dict[str, Any]] = []
    run.host.methods["ctx.state.set"] = sent.append
    body = """
    await ctx.state.set("a", 1)
    await ctx.state.set("b", 2, {"ttl": 5})
    await ctx.state.set("c", 3, ttl=6)
    await ctx.state.delete("a")
    """
    await run(handler(body))
    assert [params.get("opts", "left out") for params in sent] == [
        "left out",
        {"ttl": 5},
        {"ttl": 6},
    ]


@pytest.mark.parametrize("ending", ["run_worker(handler)", "asyncio.run(run_worker(handler))"])
@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_row_04_run_worker_is_called_or_given_to_asyncio_run(
    run: Run, kind: str, ending: str
) -> None:
    source = "import asyncio\n" + handler('return job["data"]', kind=kind)
    guarded = f'\nif __name__ == "__main__":\n    {ending}\n'
    assert await run(source, {"n": 1}, ending=guarded) == {"n": 1}


def test_row_04_in_a_notebook_run_worker_does_nothing() -> None:
    cells = [
        "from nuxt_queue import run_worker\ndef handler(job, ctx): ...",
        "if __name__ == '__main__':\n    run_worker(handler)",
        "await run_worker(handler)",
    ]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]  # nbformat has no types
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    assert [cell.outputs for cell in notebook.cells] == [[], [], []]


async def test_row_04_asyncio_run_in_a_cell_is_refused_by_asyncio_and_harms_nothing() -> None:
    """Where a loop runs there is no second one; `run_worker` itself has done nothing by then."""
    cells = [
        "import asyncio\nfrom nuxt_queue import run_worker\nasync def handler(job, ctx): ...",
        "asyncio.run(run_worker(handler))",
        "print(await asyncio.sleep(0, 'alive'))",
    ]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]  # nbformat has no types
    client = NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True)
    await client.async_execute()
    _, (error,), (alive,) = (cell.outputs for cell in notebook.cells)
    assert error["ename"] == "RuntimeError"
    assert error["evalue"] == "asyncio.run() cannot be called from a running event loop"
    assert alive["text"] == "alive\n"


@pytest.mark.parametrize(
    "ending",
    [
        "run_worker(handler)",
        "asyncio.run(run_worker(handler))",
        "async def main():\n    await run_worker(handler)\nasyncio.run(main())",
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_row_04_the_file_goes_on_after_run_worker_and_ends_in_peace(
    here: Run, kind: str, ending: str
) -> None:
    awaits = "" if kind == "def" else "await "
    body = f'{awaits}ctx.state.set("k", 1)\nreturn {awaits}ctx.state.get("k")'
    here.host = here.setup.host(patient=True)
    last = f'\nimport asyncio, sys\n{ending}\nprint("the end", file=sys.stderr)\n'
    assert await here(handler(body, kind=kind), ending=last) == 1
    assert here.host.exited.result() == 0
    assert "".join(here.host.console) == "the end\n"


async def test_row_05_a_file_without_run_worker_answers_at_once(run: Run) -> None:
    with pytest.raises(JobFailedError, match="never called `run_worker"):
        await run(handler("return 1"), ending="")


async def test_row_06_nothing_of_a_job_is_in_an_object_shared_by_jobs(run: Run) -> None:
    """The parent must have one runner state a job; here a process has one job and one context."""
    source = """
    SEEN = []

    async def handler(job, ctx):
        SEEN.append(ctx.job_id)
        return SEEN
    """
    assert await run(source, context={"jobId": "a"}) == ["a"]
    assert await Run(run.folder, run.setup)(source, context={"jobId": "b"}) == ["b"]


async def test_row_07_a_file_that_cannot_be_imported_answers_at_once(run: Run) -> None:
    with pytest.raises(
        JobFailedError, match="ModuleNotFoundError: No module named 'nowhere_at_all'"
    ):
        await run("import nowhere_at_all\n" + handler("return 1"))


async def test_row_07_it_reads_its_job_first_so_that_no_write_of_the_host_fails(here: Run) -> None:
    with pytest.raises(JobFailedError, match="ModuleNotFoundError"):
        await here("import nowhere_at_all\n" + handler("return 1"), "x" * 1_000_000)
    (answer,) = here.host.answers
    assert answer["error"]["data"]["phase"] == "import"


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_row_08_at_most_64_kib_are_unacknowledged(run: Run, kind: str) -> None:
    """The host does what it is asked and says nothing until the child has nothing more to send."""
    run.host = host = run.setup.host(withholds=True)
    body = 'for i in range(200):\n    ctx.logger.info("x" * 1000, {"i": i + 100})\nreturn "done"'
    await host.start(run.write(handler(body, kind=kind)), {})
    await host.until(lambda: host.requests)
    line = host.unacknowledged // len(host.requests)
    await host.until(lambda: host.unacknowledged + line > 64 * 1024)
    for _ in range(20):  # a child that did not wait would have gone on by now
        await host.round_trip()
    assert len(host.requests) == 64 * 1024 // line
    host.withholds = False
    host.acknowledge()
    assert await host.answer() == "done"
    assert [log["metadata"]["i"] for log in host.logs] == list(range(100, 300))
    assert host.most_unacknowledged <= 64 * 1024
    assert host.lost == []


async def test_row_08_a_host_that_frames_by_line_gets_lines_of_any_length(here: Run) -> None:
    """And log lines that need no acknowledgement."""
    here.host = here.setup.host(framed=True, withholds=True)
    body = 'for i in range(100):\n    ctx.logger.info("x" * 1000)\nreturn "x" * 300_000'
    assert await here(handler(body, kind="def")) == "x" * 300_000
    assert len(here.host.logs) == 100
    assert not any("id" in request for request in here.host.requests)


async def test_row_08_a_message_that_the_host_would_lose_is_a_clear_error(run: Run) -> None:
    with pytest.raises(JobFailedError, match="this host loses lines over 65536; return less"):
        await run(handler('return "x" * 70_000'))


async def test_row_09_what_is_printed_never_reaches_the_protocol(run: Run) -> None:
    body = """
    import os, subprocess, sys
    print('{"jsonrpc": "2.0", "id": 1, "result": "forged"}')
    sys.__stdout__.write("no newline"); sys.__stdout__.flush()
    os.write(1, b'{"jsonrpc": "2.0", "method": "ctx.state.set", "params": {"key": "f"}, "id": 9}')
    subprocess.run(["echo", "from a child"], check=True)
    return sys.stdin.read()
    """
    assert await run(handler(body, kind="def")) == ""
    assert run.host.state == {}
    assert [answer["id"] for answer in run.host.answers] == [1]


async def test_row_09_no_process_that_the_worker_starts_has_the_protocol(here: Run) -> None:
    """A fork closes its copy, another program does not inherit it, and `input()` ends at once."""
    body = """
    import os, subprocess, sys
    own = {os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")[3:-1]}
    listing = "ls -l /proc/self/fd"
    found = subprocess.run(listing, shell=True, capture_output=True, text=True).stdout
    leaked = [link for link in own if link in found]
    if (pid := os.fork()) == 0:
        try:
            ctx.logger.info("from a copy")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    wire = os.environ.get("NUXT_QUEUE_CHILD_PROCESS")
    return [len(own), leaked, wire, os.readlink("/proc/self/fd/0")]
    """
    assert await here(handler(body, kind="def")) == [2, [], None, "/dev/null"]
    assert here.host.logs == []


async def test_row_10_nothing_is_sent_as_null(run: Run) -> None:
    assert await run(handler("pass")) is None
    assert run.host.answers == [{"jsonrpc": "2.0", "result": None, "id": 1}]


async def test_row_11_nan_is_refused_with_its_place(run: Run) -> None:
    with pytest.raises(JobFailedError, match=r"result\.a\[1\] is NaN"):
        await run(handler('return {"a": [1, float("nan")]}'))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('return [float("inf")]', "result[0] is inf"),
        ('ctx.state.set("k", {"x": float("nan")})', "state['k'].x is NaN"),
        ('ctx.flow.emit("e", {"x": [float("nan")]})', "payload.x[0] is NaN"),
    ],
)
async def test_row_11_so_it_is_in_state_and_events_and_nothing_is_sent(
    here: Run, body: str, says: str
) -> None:
    with pytest.raises(JobFailedError, match=re.escape(f"ValuePathError: {says}")):
        await here(handler(body))
    assert here.host.requests == []


async def test_row_11_in_a_log_line_it_is_named_and_the_job_goes_on(here: Run) -> None:
    assert await here(handler('ctx.logger.info("m", {"x": float("nan")})\nreturn 1')) == 1
    (line,) = here.host.logs
    assert line["metadata"]["metadataError"].startswith("metadata.x is NaN")


async def test_row_12_log_lines_keep_their_order_and_come_before_the_result(run: Run) -> None:
    body = 'for i in range(500):\n    ctx.logger.info("line", {"i": i})\nreturn "done"'
    assert await run(handler(body)) == "done"
    assert [line["metadata"]["i"] for line in run.host.logs] == list(range(500))


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_row_12_the_result_waits_for_their_acknowledgement(here: Run, kind: str) -> None:
    assert await held_back(here, 'ctx.logger.info("last")\nreturn "done"', kind)


async def test_row_12_lines_of_threads_come_whole_and_each_thread_s_in_order(here: Run) -> None:
    body = """
    import threading
    def work(name):
        for i in range(100):
            ctx.logger.info("line", {"thread": name, "i": i})
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    """
    await here(handler(body))
    for name in range(4):
        lines = [log["metadata"] for log in here.host.logs if log["metadata"]["thread"] == name]
        assert [line["i"] for line in lines] == list(range(100))
    assert b'"result"' in here.host.wire.splitlines()[-1]


async def test_row_13_every_level_is_there_and_an_unknown_one_is_info(run: Run) -> None:
    body = """
    for name in ("debug", "info", "warn", "warning", "error"):
        getattr(ctx.logger, name)(name)
    ctx.logger.log("loud", "log")
    ctx.logger.child({"part": 1}).info("child")
    try:
        raise ValueError("seen")
    except ValueError:
        ctx.logger.exception("exception")
    """
    await run(handler(body, kind="def"))
    levels = [line["level"] for line in run.host.logs]
    assert levels == ["debug", "info", "warn", "warn", "error", "info", "info", "error"]
    assert run.host.logs[-2]["metadata"] == {"part": 1}
    assert "ValueError: seen" in run.host.logs[-1]["metadata"]["traceback"]


async def test_row_14_finally_has_run_before_the_result_is_sent(run: Run, tmp_path: Path) -> None:
    mark = tmp_path / "finally"
    body = f"""
    try:
        return "done"
    finally:
        open({str(mark)!r}, "w").close()
    """
    assert await run(handler(body)) == "done"
    assert mark.exists()


async def test_row_14_what_finally_sends_comes_before_the_result_and_atexit_after(
    here: Run,
) -> None:
    """`atexit` is Python's own end: a host that sends SIGTERM right after the result forgoes it."""
    body = """
    import atexit, sys
    atexit.register(print, "at exit", file=sys.stderr)
    try:
        return "done"
    finally:
        ctx.state.set("cleaned", True)
    """
    here.host = here.setup.host(patient=True)
    assert await here(handler(body)) == "done"
    assert here.host.state == {"cleaned": True}
    assert b'"result"' in here.host.wire.splitlines()[-1]
    assert "".join(here.host.console) == "at exit\n"
    assert here.host.exited.result() == 0


async def test_row_14_a_handler_that_blocks_is_ended_by_sigterm(here: Run) -> None:
    body = 'import time\nctx.logger.info("blocking")\ntime.sleep(600)'
    await here.host.start(here.write(handler(body)), {})
    await here.host.until(lambda: here.host.logs)
    await here.host.cleanup()
    assert here.host.exited.result() == -signal.SIGTERM


async def test_row_14_sigterm_is_left_as_it_is_so_that_c_code_can_be_ended(run: Run) -> None:
    body = "import signal\nreturn signal.getsignal(signal.SIGTERM) is signal.SIG_DFL"
    assert await run(handler(body)) is True


async def test_row_14_the_end_of_stdin_ends_the_worker(run: Run) -> None:
    def hang_up(_params: dict[str, Any]) -> None:
        run.host.stdin.close()

    run.host.methods["ctx.state.get"] = hang_up
    # A handler that survives the failure of its call: nobody is there to hear its answer.
    body = 'try:\n    ctx.state.get("k")\nexcept Exception:\n    import time\n    time.sleep(600)'
    await run.host.start(run.write(handler(body, kind="def")), {})
    assert await asyncio.wait_for(asyncio.shield(run.host.exited), WAIT_S) == 0
    assert run.host.answers == []


@pytest.mark.parametrize(
    ("given", "data"),
    [
        ({"n": 1}, {"n": 1}),
        ([1, 2], [1, 2]),
        ("text", "text"),
        ({"id": "7", "data": {"n": 1}}, {"n": 1}),
        ({"data": {"n": 1}}, {"n": 1}),
        ({"data": 1, "rows": 2}, {"data": 1, "rows": 2}),
        ({"id": "7", "rows": 2}, {"id": "7", "rows": 2}),
        (None, None),
    ],
)
async def test_row_15_the_job_is_an_envelope_whatever_the_host_sends(
    here: Run, given: Any, data: Any
) -> None:
    assert await here(handler('return job["data"]'), given) == data


async def test_row_15_code_for_one_shape_works_with_the_other(run: Run) -> None:
    body = 'return [job["n"], job["data"]["n"], job.input["n"], job["id"], job["name"]]'
    assert await run(handler(body), {"n": 1}, context=CONTEXT) == [1, 1, 1, "j1", "train"]
    again = Run(run.folder, run.setup)
    whole = {"id": "7", "name": "x", "data": {"n": 2}, "attemptsMade": 0, "opts": {}}
    assert await again(handler(body), whole, context=CONTEXT) == [2, 2, 2, "7", "x"]


async def test_row_16_all_fields_of_the_context_are_there_and_others_are_kept(run: Run) -> None:
    context = {
        "jobId": "j", "queue": "q", "flowId": "f", "flowName": "n", "stepName": "s",
        "stepId": "i", "attempt": 2, "trigger": {"by": "time"}, "awaitConfig": None, "new": 1,
    }  # fmt: skip
    body = """
    return [ctx.job_id, ctx.queue, ctx.flow_id, ctx.flow_name, ctx.step_name, ctx.step_id,
            ctx.attempt, ctx.trigger, ctx.awaitConfig, ctx.flowId, ctx.extra]
    """
    expected = ["j", "q", "f", "n", "s", "i", 2, {"by": "time"}, None, "f", {"new": 1}]
    assert await run(handler(body), context=context) == expected
    missing = Run(run.folder, run.setup)
    assert await missing(handler("return [ctx.job_id, ctx.attempt]"), context={"flowId": "f"}) == [
        None,
        None,
    ]


@pytest.mark.parametrize("names", [(), ("flowId", "flowName", "stepName"), tuple(CONTEXT)], ids=len)
async def test_row_16_none_three_or_all_seven_fields_will_do(
    here: Run, names: tuple[str, ...]
) -> None:
    body = f"return {{name: getattr(ctx, name) for name in {list(CONTEXT)}}}"
    context = {name: CONTEXT[name] for name in names}
    assert await here(handler(body), context=context) == dict.fromkeys(CONTEXT) | context


async def test_row_21_the_locale_does_not_matter(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONIOENCODING", "ascii")):
        monkeypatch.setenv(name, value)
    text = "größe 😀 \u2028"
    assert await run(handler('print(job["data"])\nreturn job["data"]'), text) == text


async def test_row_21_the_wire_is_ascii_one_message_a_line(here: Run) -> None:
    body = (
        'ctx.logger.info("größe 😀\\nline")\nctx.state.set("ключ", "\\u2028")\nreturn job["data"]'
    )
    assert await here(handler(body), "日本語") == "日本語"
    assert here.host.wire.isascii()
    assert here.host.wire.count(b"\n") == len(here.host.requests + here.host.answers) == 3
    assert here.host.logs[0]["message"] == "größe 😀\nline"
    assert here.host.state == {"ключ": "\u2028"}


async def test_row_22_a_job_of_a_megabyte_is_read(run: Run) -> None:
    assert await run(handler('return len(job["data"])'), "x" * 1_000_000) == 1_000_000


async def test_row_23_answers_to_unknown_calls_are_ignored_and_ids_do_not_meet(run: Run) -> None:
    def get(_params: dict[str, Any]) -> str:
        for number in (1, 2, "1000001", 5_000_000):
            run.host.send({"jsonrpc": "2.0", "result": "wrong", "id": number})
        return "right"

    run.host.methods["ctx.state.get"] = get
    assert await run(handler('return await ctx.state.get("k")')) == "right"


@pytest.mark.parametrize("execute_id", [1, 1_000_001, "a"])
async def test_row_23_both_sides_may_use_one_id(here: Run, execute_id: Any) -> None:
    here.host = here.setup.host(execute_id=execute_id)
    assert await here(handler('return await ctx.state.get("k")')) is None
    assert [request["id"] for request in here.host.requests] == [1_000_001]
    assert [answer["id"] for answer in here.host.answers] == [execute_id]


async def test_row_24_an_error_stands_alone_in_its_message_and_has_data(run: Run) -> None:
    with pytest.raises(JobFailedError, match=r"^ValueError: bad$"):
        await run(handler('raise ValueError("bad")'))
    (answer,) = run.host.answers
    error = answer["error"]
    assert error["code"] == -32000
    assert {"type", "message", "traceback", "cause", "retryable", "location"} <= set(error["data"])
    assert "nuxt_queue" not in error["data"]["traceback"]


async def test_row_24_an_exception_may_say_that_trying_again_is_no_use(here: Run) -> None:
    source = "class BadOrder(Exception):\n    retryable = False\n" + handler("raise BadOrder")
    with pytest.raises(JobFailedError, match=r"^BadOrder$"):
        await here(source)
    assert here.host.answers[0]["error"]["data"]["retryable"] is False


async def test_row_24_what_breaks_the_protocol_has_the_protocol_s_codes(here: Run) -> None:
    host = here.host
    await host.spawn(here.write(handler("return 1")))
    host.stdin.write(b"{nonsense\n")
    host.ask("no.such.method", {}, 11)
    host.ask("execute", [1, 2], 12)
    host.ask("execute", {"job": 1, "context": []}, 13)
    await host.until(lambda: len(host.answers) == 4)
    codes = {answer["id"]: answer["error"]["code"] for answer in host.answers}
    assert codes == {None: -32700, 11: -32601, 12: -32602, 13: -32602}
    host.ask("execute", {"job": 1}, 1)
    assert await host.answer() == 1


async def test_row_25_a_second_job_is_refused(run: Run) -> None:
    def again(_params: dict[str, Any]) -> None:
        run.host.ask("execute", {"job": {}, "context": {}}, 2)

    run.host.methods["ctx.state.get"] = again
    body = 'await ctx.state.get("k")\nawait ctx.state.get("k2")\nreturn 1'
    assert await run(handler(body)) == 1
    codes = {answer["id"]: answer.get("error", {}).get("code") for answer in run.host.answers}
    assert codes == {1: None, 2: -32001}


async def test_row_25_the_end_of_stdin_before_a_job_is_no_failure(here: Run) -> None:
    await here.host.spawn(here.write(handler("return 1")))
    assert await here.host.end() == 0
    assert here.host.answers == []
    assert here.host.console == []


@pytest.mark.parametrize("source", ["", "import nowhere_at_all\n"])
async def test_row_25_a_shutdown_is_answered_and_ends_the_worker(here: Run, source: str) -> None:
    host = here.host
    await host.spawn(here.write(source + handler("return 1")))
    host.ask("shutdown", {}, 5)
    code = await asyncio.wait_for(asyncio.shield(host.exited), WAIT_S)
    assert host.answers == [{"jsonrpc": "2.0", "result": None, "id": 5}]
    assert code == (1 if source else 0)  # its own traceback is the file's failure


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_row_25_a_shutdown_ends_a_job_that_is_under_way(here: Run, kind: str) -> None:
    host = here.host
    body = 'import time\nctx.logger.info("begun")\ntime.sleep(600)'
    await host.start(here.write(handler(body, kind=kind)), {})
    await host.until(lambda: host.logs)
    host.ask("shutdown", {}, 5)
    assert await asyncio.wait_for(asyncio.shield(host.exited), WAIT_S) == 0
    assert host.answers == [{"jsonrpc": "2.0", "result": None, "id": 5}]


async def test_row_26_calls_of_a_plain_function_simply_return(run: Run) -> None:
    body = 'ctx.state.set("k", 41)\nreturn ctx.state.get("k") + 1'
    assert await run(handler(body, kind="def")) == 42


async def test_row_26_calls_of_threads_and_of_what_they_start_simply_return_too(here: Run) -> None:
    body = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda n: ctx.state.set(str(n), n) or ctx.state.get(str(n)), range(8)))
    """
    assert await here(handler(body, kind="def")) == list(range(8))


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_row_26_a_handler_that_blocks_is_heard_and_answered(here: Run, kind: str) -> None:
    """It blocks, in its loop if it has one, until the host has heard more than the window holds."""
    gate = here.folder / "gate"
    os.mkfifo(gate)
    opener = os.open(gate, os.O_RDWR)
    body = f"""
    ctx.state.set("k", 1)
    for i in range(100):
        ctx.logger.info("x" * 1000)
    return open({str(gate)!r}).readline()
    """
    await here.host.start(here.write(handler(body, kind=kind)), {})
    await here.host.until(lambda: len(here.host.logs) == 100)
    assert here.host.answers == []
    os.write(opener, b"go\n")
    assert await here.host.answer() == "go\n"
    os.close(opener)
    assert here.host.state == {"k": 1}


@pytest.mark.parametrize(
    ("call", "method"),
    [
        ('emit("e")', "emit"),
        ('start_flow("f")', "startFlow"),
        ('cancel_flow("f", "r")', "cancelFlow"),
        ("cancel()", "cancel"),
        ('restart_flow("f", "r")', "restartFlow"),
        ('is_running("f")', "isRunning"),
        ("get_running_flows()", "getRunningFlows"),
        ('get_flow_stats("f")', "getFlowStats"),
        ("get_all_flow_stats(limit=1)", "getAllFlowStats"),
        ('has_flow_stats("f")', "hasFlowStats"),
    ],
)
async def test_row_27_a_method_that_the_host_lacks_is_named(
    here: Run, call: str, method: str
) -> None:
    here.host.methods.pop(f"ctx.flow.{method}", None)
    with pytest.raises(JobFailedError, match=rf"^NotSupportedByHost: .*ctx\.flow\.{method}"):
        await here(handler(f"await ctx.flow.{call}"))


FLOW_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    'start_flow("f", {"n": 1})': ("startFlow", {"flowName": "f", "payload": {"n": 1}}),
    'cancel_flow("f", "r")': ("cancelFlow", {"flowName": "f", "runId": "r"}),
    "cancel()": ("cancel", {}),
    'restart_flow("f", "r")': ("restartFlow", {"flowName": "f", "runId": "r"}),
    'is_running("f", "r", excludeRunIds=["x"])': (
        "isRunning",
        {"flowName": "f", "runId": "r", "excludeRunIds": ["x"]},
    ),
    'get_running_flows("f")': ("getRunningFlows", {"flowName": "f"}),
    'get_flow_stats("f")': ("getFlowStats", {"flowName": "f"}),
    "get_all_flow_stats(limit=1)": ("getAllFlowStats", {"limit": 1}),
    'has_flow_stats("f")': ("hasFlowStats", {"flowName": "f"}),
}


async def test_row_27_each_goes_out_under_the_host_s_name_with_named_parameters(run: Run) -> None:
    names = {f"ctx.flow.{name}" for name, _ in FLOW_CALLS.values()} | {"ctx.flow.emit"}
    assert names == {m for m in vars(methods).values() if str(m).startswith("ctx.flow.")}
    for name in names:
        run.host.methods[name] = lambda params, name=name: [name, params]  # type: ignore[misc]  # mypy does not infer it
    calls = ", ".join(f"await ctx.flow.{call}" for call in FLOW_CALLS)
    assert await run(handler(f"return [{calls}]")) == [
        [f"ctx.flow.{name}", params] for name, params in FLOW_CALLS.values()
    ]


async def test_row_27_the_error_is_one_that_a_handler_can_catch(here: Run) -> None:
    body = """
    from nuxt_queue.errors import NotSupportedByHost
    try:
        return await ctx.state.incr("n")
    except NotSupportedByHost as error:
        return str(error)
    """
    assert "ctx.state.incr" in await here(handler(body))


async def test_row_29_every_name_and_spelling_of_the_definitions_works(run: Run) -> None:
    source = """
    from nuxt_queue import define_config, define_queue_config, define_queue_worker, define_worker
    config = define_queue_config(define_config({"queue": "q"}))

    @define_queue_worker
    @define_worker()
    @define_worker
    async def handler(job, ctx):
        return config
    """
    assert await run(source) == {"queue": "q"}


@pytest.mark.parametrize("form", ["define_worker", "define_queue_worker", None])
async def test_row_29_a_definition_wraps_nothing_and_may_be_left_out(
    here: Run, form: str | None
) -> None:
    plain = 'def plain(job, ctx):\n    return job["n"]\n'
    marked = (
        f"from nuxt_queue import {form}\nhandler = {form}(plain)" if form else "handler = plain"
    )
    source = f"{plain}{marked}\nassert handler is plain\n"
    assert await here(source, {"n": 3}) == 3
