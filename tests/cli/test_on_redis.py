"""The same commands on a real Redis, which comes and goes."""

from __future__ import annotations

import json

from tests.cli.conftest import Project
from tests.redis_server import PrivateRedis


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
