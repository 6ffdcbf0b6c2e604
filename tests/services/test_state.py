"""What is special about the state in memory: its clock, and what it holds."""

from __future__ import annotations

from nuxt_queue.services.state import MemoryStateStore


class Seconds:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_value_is_gone_when_its_time_is_over() -> None:
    """host-contract 2: ttl is in seconds."""
    clock = Seconds()
    store = MemoryStateStore(clock=clock)
    await store.set("f", "k", 1, ttl_s=10)

    clock.now += 9.9
    assert await store.get("f", "k") == 1
    clock.now += 0.1
    assert await store.get("f", "k") is None
    assert await store.all("f") == {}


async def test_a_new_value_has_a_new_lifetime() -> None:
    clock = Seconds()
    store = MemoryStateStore(clock=clock)
    await store.set("f", "k", 1, ttl_s=10)
    await store.set("f", "k", 2)
    await store.set("f", "longer", 1, ttl_s=10)
    await store.set("f", "longer", 2, ttl_s=30)

    clock.now += 20

    assert await store.all("f") == {"k": 2, "longer": 2}


async def test_values_that_nobody_reads_again_do_not_pile_up() -> None:
    clock = Seconds()
    store = MemoryStateStore(clock=clock)
    for n in range(100):
        await store.set("f", f"k{n}", n, ttl_s=1)
    clock.now += 2

    await store.set("g", "k", 1)

    assert store._scopes["f"] == {}
    assert store._deadlines == []
