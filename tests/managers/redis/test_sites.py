"""Redis where it is not one server: a real Sentinel with a failover, and a real cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis as raw

from nuxt_queue.errors import ConfigError, QueueStorageError
from nuxt_queue.managers.bullmq.trial import try_out
from nuxt_queue.services.context import JobContext
from nuxt_queue.services.redis import RedisLimits, RedisServer, RedisStateStore
from tests.managers.redis.conftest import WAIT_S, Fleet, ended
from tests.redis_server import PrivateCluster, PrivateSentinel


@pytest.fixture
def sentinel() -> Iterator[PrivateSentinel]:
    """A primary, a replica and a Sentinel."""
    made = PrivateSentinel()
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def cluster() -> Iterator[PrivateCluster]:
    """Three nodes."""
    made = PrivateCluster()
    try:
        yield made.start()
    finally:
        made.stop()


async def refusals(server: RedisServer) -> list[str]:
    """Return what a server says to `enqueue`, to the start of a worker, and to doctor."""
    fleet = Fleet(server.name)
    said = []
    try:
        for call in (
            fleet.manager().enqueue("q", "a"),
            server.check(),
            try_out(server, "nq"),
        ):
            with pytest.raises(QueueStorageError) as caught:
                await call
            said.append(str(caught.value))
    finally:
        await fleet.close()
    assert "\n" not in "".join(said)
    return said


async def test_jobs_go_on_after_a_failover_of_sentinel(sentinel: PrivateSentinel) -> None:
    """The primary dies under load; what is enqueued meanwhile waits for the new one."""
    fleet = Fleet(sentinel.url)
    state = RedisStateStore(fleet.server, fleet.prefix)

    async def work(job: dict[str, Any], _context: JobContext) -> Any:
        await state.incr("", "n")
        return job["data"]

    try:
        manager = fleet.manager()
        await manager.register_worker("q", "a", work, {"concurrency": 5})
        await asyncio.gather(
            *[ended(manager, await manager.enqueue("q", "a", n)) for n in range(20)]
        )
        sentinel.primary.kill()
        after = [await manager.enqueue("q", "a", n) for n in range(20)]
        jobs = [await ended(manager, job_id) for job_id in after]
        assert [job.returnvalue for job in jobs] == list(range(20))
        with raw.Redis(port=sentinel.replica.port) as client:
            assert client.info("replication")["role"] == "master"
        sentinel.primary.start()  # as it was: it takes itself for the primary, until it is told
        last = await manager.enqueue("q", "a", 99)
        assert (await ended(manager, last)).returnvalue == 99
    finally:
        await state.close()
        await fleet.close()


async def test_the_address_of_a_sentinel_is_refused_by_name(sentinel: PrivateSentinel) -> None:
    """Where a server is expected, and the other way round."""
    said = await refusals(RedisServer(f"redis://127.0.0.1:{sentinel.port}/0"))
    assert all("the address of a Sentinel is redis+sentinel://host:port/" in each for each in said)

    other = RedisServer(f"redis+sentinel://127.0.0.1:{sentinel.primary.port}/main")
    with pytest.raises(QueueStorageError, match="does not know the command SENTINEL"):
        await other.check()
    unknown = RedisServer(sentinel.url.replace("main", "other"), RedisLimits(retries=0))
    with pytest.raises(QueueStorageError, match="No master found for 'other'"):
        await unknown.check()


async def test_jobs_run_on_a_cluster_whose_prefix_keeps_them_on_one_node(
    cluster: PrivateCluster,
) -> None:
    """Also from an address that names another node; all keys are in one slot."""
    fleet = Fleet(cluster.url, prefix="{nq}")
    state = RedisStateStore(fleet.server, fleet.prefix)

    async def work(job: dict[str, Any], _context: JobContext) -> Any:
        return [job["data"], await state.incr("", "n")]

    try:
        manager = fleet.manager()
        await manager.register_worker("q", "a", work, {"concurrency": 5})
        ids = await asyncio.gather(*(manager.enqueue("q", "a", n) for n in range(20)))
        async with asyncio.timeout(WAIT_S):
            jobs = [await ended(manager, job_id) for job_id in ids]
        assert [job.returnvalue[0] for job in jobs] == list(range(20))
        await try_out(fleet.server, "{nq}")
        assert await state.all("") == {"n": 20}
        sizes = [int(str(node.ask("DBSIZE")).strip(":")) for node in cluster.nodes]
        assert sorted(sizes)[:2] == [0, 0]
    finally:
        await state.close()
        await fleet.close()


async def test_a_cluster_is_refused_by_name_where_it_cannot_be_used(
    cluster: PrivateCluster,
) -> None:
    """Whichever node it is: by address, and by prefix."""
    for node in cluster.nodes:
        said = await refusals(RedisServer(node.url))
        assert all("it is a node of a cluster; write redis+cluster://" in each for each in said)
    with pytest.raises(ConfigError, match=r'set prefix = "\{nq\}"'):
        RedisServer(cluster.url)
