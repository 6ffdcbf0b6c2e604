"""The same commands on a real Redis, which comes and goes."""

from __future__ import annotations

import json
import uuid

import pytest
from redis import Redis

from tests.cli.conftest import Project
from tests.redis_server import PrivateRedis, shared_redis


def test_what_is_enqueued_on_redis_runs_also_after_redis_was_away(project: Project) -> None:
    """Faults 59: a worker waits for Redis, and takes jobs again when it is back."""
    project.write("greet")
    redis = PrivateRedis(appendonly=True, args=["--requirepass", "geheim"])
    env = {"REDIS_URL": f"redis://:geheim@127.0.0.1:{redis.port}/0"}
    try:
        with project.serving(**env) as server:
            server.line(f"serving 1 worker of {project.workers} from redis://:***@127.0.0.1:")
            server.line("warning: the runs of flows wait: cannot reach redis://:***@127.0.0.1:")
            redis.start()
            first = project.nq("enqueue", "greet", "--data", '{"n": 1}', "--wait", **env)
            assert (first.stdout, first.stderr) == ('"hello 1"\n', "")
            redis.kill()
            server.line("cannot reach redis://:***@127.0.0.1:")
            redis.start()
            again = project.nq("enqueue", "greet", "--data", '{"n": 2}', "--wait", **env)
            assert (again.stdout, again.stderr) == ('"hello 2"\n', "")
            jobs = json.loads(project.nq("jobs", "--json", **env).stdout)
            assert [job["returnvalue"] for job in jobs] == ["hello 2", "hello 1"]
            doctor = project.nq("doctor", **env)
            assert doctor.returncode == 0
            assert f"redis://:***@127.0.0.1:{redis.port}/0 (REDIS_URL), version" in doctor.stdout
            server.stop()
            assert server.status() == 0
        assert sum("the runs of flows wait" in line for line in server.lines) <= 2  # not each time
        assert "geheim" not in "".join(server.lines) + doctor.stdout
    finally:
        redis.stop()


NODE = """
export const config = {{ queue: {{ name: '{name}' }}, {flow} }}
export default () => 1
"""
IN_A_FLOW = "flow: { name: 'f', role: 'step', subscribes: ['a'] }"


@pytest.mark.parametrize(
    ("prefix", "served", "argv"),
    [
        ("nvent", ["greet"], []),  # its queues are the application's
        ("mine", ["greet", "plain"], []),  # the flow is, and no queue but of the flow
        ("nvent", ["greet", "plain", "step"], ["--runtime", "node", "--runtime", "python"]),
        ("mine", ["greet"], ["--runtime", "python"]),
    ],
)
def test_what_an_application_on_the_same_redis_runs_is_left_to_it(
    project: Project, prefix: str, served: list[str], argv: list[str]
) -> None:
    settings = (
        f'[tool.nuxt-queue]\nworkers = "workers"\n[tool.nuxt-queue.redis]\nprefix = "{prefix}"\n'
    )
    (project.root / "pyproject.toml").write_text(settings, "utf-8")
    project.write("greet")
    for name, flow in (("plain", ""), ("step", IN_A_FLOW)):
        (project.workers / f"{name}.mjs").write_text(NODE.format(name=name, flow=flow), "utf-8")
    url = shared_redis().url
    run = f"nvent:flow:runs:f:meta:{uuid.uuid4()}"
    with Redis.from_url(url) as redis:
        redis.hset(run, "version", 1)
        try:
            with project.serving("--metrics", "0", *argv, REDIS_URL=url) as server:
                what = f"serving {len(served)} worker{'s' if len(served) > 1 else ''} of"
                server.line(what)
                left = [line for line in server.lines if "left to the Nuxt application" in line]
                assert len(left) == (0 if argv else 1)
                server.stop()
                assert server.status() == 0
            if not argv:
                doctor = project.nq("doctor", REDIS_URL=url).stdout
                assert "a Nuxt application runs /workers/" in doctor
        finally:
            redis.delete(run)


def test_a_folder_in_an_application_that_has_run_nothing_yet_is_left_to_it(
    project: Project,
) -> None:
    (project.root / "nuxt.config.ts").write_text("export default defineNuxtConfig({})", "utf-8")
    project.write("greet")
    (project.workers / "plain.mjs").write_text(NODE.format(name="plain", flow=""), "utf-8")

    with project.serving("--metrics", "0", REDIS_URL=shared_redis().url) as server:
        server.line("serving 1 worker of")
        assert any("left to the Nuxt application" in line for line in server.lines)
        server.stop()
        assert server.status() == 0


def test_a_runtime_that_does_not_exist_is_refused(project: Project) -> None:
    done = project.nq("serve", "--runtime", "pythn", "--backend", "file")
    assert (done.returncode, done.stderr) == (
        2,
        'nq: unknown runtime "pythn"; did you mean "python"?\n',
    )
