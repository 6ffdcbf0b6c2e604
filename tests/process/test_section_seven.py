"""Each row of host-contract section 7 that has a child's side, shown under the seed-letter host.

Rows without a child's side, the parent's or the exporter's alone: 17, 18, 19, 20, 28.

Each runs with the installed SDK, and with the copy that `nq-export --vendor` makes on every newer
Python that is on the machine, without site-packages.
"""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from nbtools.exporter.vendor import FOLDER, vendor_sdk
from tests.process.test_seed_letter_host import JobFailedError, SeedLetterHost
from tests.pythons import newer_pythons

ENDING = '\nif __name__ == "__main__":\n    run_worker(handler)\n'


@dataclass(frozen=True)
class Setup:
    """A Python, and where it finds the SDK."""

    python: tuple[str, ...]
    env: dict[str, str]

    def host(self, kind: type[SeedLetterHost] = SeedLetterHost) -> Any:
        made = kind()
        made.python, made.env = self.python, self.env
        return made


class Run:
    """One job of a worker that is written down in a test."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        self.folder, self.setup = folder, setup
        self.host: Any = setup.host()

    async def __call__(self, source: str, data: Any = None, **given: Any) -> Any:
        """Run it; `ending` replaces the usual last lines, `context` the usual context."""
        ending = given.pop("ending", ENDING)
        path = self.folder / "worker.py"
        imports = "from nuxt_queue import run_worker\n"
        path.write_text(imports + textwrap.dedent(source) + ending, "utf-8")
        result = await self.host.execute(str(path), {} if data is None else data, **given)
        assert self.host.lost == []
        return result


@pytest.fixture(scope="session")
def vendored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vendored")
    vendor_sdk(folder)
    return folder / FOLDER


@pytest.fixture(params=["installed", sys.executable, *newer_pythons()], ids=lambda p: Path(p).name)
async def run(request: pytest.FixtureRequest, tmp_path: Path, vendored: Path) -> Run:
    if request.param == "installed":
        return Run(tmp_path, Setup((sys.executable,), {}))
    return Run(tmp_path, Setup((request.param, "-S"), {"PYTHONPATH": str(vendored)}))


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


class SlowHost(SeedLetterHost):
    """Answers log lines only when it is told to, and notes what had arrived by then."""

    def __init__(self) -> None:
        super().__init__()
        self.unanswered: list[int] = []
        self.seen = 0
        self.full = asyncio.Event()
        self.methods["ctx.logger.log"] = self._note

    def send(self, message: dict[str, Any]) -> None:
        """Hold acknowledgements back until the window is full."""
        if "result" in message and not self.full.is_set():
            self.unanswered.append(message["id"])
        else:
            super().send(message)

    def _note(self, params: dict[str, Any]) -> None:
        self.seen += len(json.dumps(params))
        if self.seen > 60_000 and not self.full.is_set():
            asyncio.get_running_loop().call_later(0.2, self._let_go)

    def _let_go(self) -> None:
        self.held = self.seen
        self.full.set()
        for number in self.unanswered:
            super().send({"jsonrpc": "2.0", "result": None, "id": number})


async def test_row_08_at_most_64_kib_are_unacknowledged(run: Run) -> None:
    run.host = host = run.setup.host(SlowHost)
    body = """
    for i in range(200):
        ctx.logger.info("x" * 1000, {"i": i})
    return "done"
    """
    assert await run(handler(body, kind="def")) == "done"
    assert host.held <= 64 * 1024
    assert host.seen > 200_000


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


async def test_row_10_nothing_is_sent_as_null(run: Run) -> None:
    assert await run(handler("pass")) is None
    assert run.host.answers == [{"jsonrpc": "2.0", "result": None, "id": 1}]


async def test_row_11_nan_is_refused_with_its_place(run: Run) -> None:
    with pytest.raises(JobFailedError, match=r"result\.a\[1\] is NaN"):
        await run(handler('return {"a": [1, float("nan")]}'))


async def test_row_12_log_lines_keep_their_order_and_come_before_the_result(run: Run) -> None:
    body = 'for i in range(500):\n    ctx.logger.info("line", {"i": i})\nreturn "done"'
    assert await run(handler(body)) == "done"
    assert [line["metadata"]["i"] for line in run.host.logs] == list(range(500))


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


async def test_row_14_sigterm_is_left_as_it_is_so_that_c_code_can_be_ended(run: Run) -> None:
    body = "import signal\nreturn signal.getsignal(signal.SIGTERM) is signal.SIG_DFL"
    assert await run(handler(body)) is True


async def test_row_14_the_end_of_stdin_ends_the_worker(run: Run) -> None:
    def hang_up(_params: dict[str, Any]) -> None:
        run.host.stdin.close()

    run.host.methods["ctx.state.get"] = hang_up
    source = handler('import time\nctx.state.get("k")\ntime.sleep(600)', kind="def")
    path = run.folder / "worker.py"
    path.write_text("from nuxt_queue import run_worker\n" + source + ENDING, "utf-8")
    await run.host.spawn(str(path))
    params: dict[str, Any] = {"job": {}, "context": {}}
    run.host.send({"jsonrpc": "2.0", "method": "execute", "params": params, "id": 1})
    try:
        assert await asyncio.wait_for(run.host.exited, 10) == 1
    finally:
        await run.host.cleanup()
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
    ],
)
async def test_row_15_the_job_is_an_envelope_whatever_the_host_sends(
    run: Run, given: Any, data: Any
) -> None:
    assert await run(handler('return job["data"]'), given) == data


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


async def test_row_21_the_locale_does_not_matter(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONIOENCODING", "ascii")):
        monkeypatch.setenv(name, value)
    text = "größe 😀 \u2028"
    assert await run(handler('print(job["data"])\nreturn job["data"]'), text) == text


async def test_row_22_a_job_of_a_megabyte_is_read(run: Run) -> None:
    assert await run(handler('return len(job["data"])'), "x" * 1_000_000) == 1_000_000


async def test_row_23_answers_to_unknown_calls_are_ignored_and_ids_do_not_meet(run: Run) -> None:
    def get(_params: dict[str, Any]) -> str:
        for number in (1, 2, "1000001", 5_000_000):
            run.host.send({"jsonrpc": "2.0", "result": "wrong", "id": number})
        return "right"

    run.host.methods["ctx.state.get"] = get
    assert await run(handler('return await ctx.state.get("k")')) == "right"


async def test_row_24_an_error_stands_alone_in_its_message_and_has_data(run: Run) -> None:
    with pytest.raises(JobFailedError, match=r"^ValueError: bad$"):
        await run(handler('raise ValueError("bad")'))
    (answer,) = run.host.answers
    error = answer["error"]
    assert error["code"] == -32000
    assert {"type", "message", "traceback", "cause", "retryable", "location"} <= set(error["data"])
    assert "nuxt_queue" not in error["data"]["traceback"]


async def test_row_25_a_second_job_is_refused(run: Run) -> None:
    def again(_params: dict[str, Any]) -> None:
        params: dict[str, Any] = {"job": {}, "context": {}}
        run.host.send({"jsonrpc": "2.0", "method": "execute", "params": params, "id": 2})

    run.host.methods["ctx.state.get"] = again
    body = 'await ctx.state.get("k")\nawait ctx.state.get("k2")\nreturn 1'
    assert await run(handler(body)) == 1
    codes = {answer["id"]: answer.get("error", {}).get("code") for answer in run.host.answers}
    assert codes == {1: None, 2: -32001}


async def test_row_26_calls_of_a_plain_function_simply_return(run: Run) -> None:
    body = 'ctx.state.set("k", 41)\nreturn ctx.state.get("k") + 1'
    assert await run(handler(body, kind="def")) == 42


@pytest.mark.parametrize(
    ("call", "method"),
    [
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
    run: Run, call: str, method: str
) -> None:
    with pytest.raises(JobFailedError, match=rf"^NotSupportedByHost: .*ctx\.flow\.{method}"):
        await run(handler(f"await ctx.flow.{call}"))


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
