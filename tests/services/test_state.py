"""StateStore in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuxt_queue.errors import InvalidParamsError, ValuePathError
from nuxt_queue.services.state import MemoryStateStore


class Seconds:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("value", [0, False, "", None, 1.5, [], {}, {"a": [1, {"b": None}]}, "ü"])
async def test_a_value_comes_back_as_it_was(value: Any) -> None:
    """host-contract 2: 0, False and "" are not turned into nothing."""
    store = MemoryStateStore()

    await store.set("f", "k", value)

    back = await store.get("f", "k")
    assert back == value
    assert type(back) is type(value)


async def test_a_missing_value_is_none() -> None:
    assert await MemoryStateStore().get("f", "k") is None


async def test_values_are_copies_on_the_way_in_and_out() -> None:
    """host-contract 2: the host's memory store aliases objects."""
    store = MemoryStateStore()
    value = {"rows": [1]}
    await store.set("f", "k", value)

    value["rows"].append(2)
    (await store.get("f", "k") or {})["rows"].append(3)
    (await store.all("f"))["k"]["rows"].append(4)

    assert await store.get("f", "k") == {"rows": [1]}


async def test_scopes_do_not_see_each_other() -> None:
    store = MemoryStateStore()
    await store.set("f", "k", 1)
    await store.set("", "k", 2)

    await store.clear("f")

    assert await store.all("f") == {}
    assert await store.all("") == {"k": 2}


async def test_deleting_says_whether_there_was_something() -> None:
    store = MemoryStateStore()
    await store.set("f", "k", None)

    assert await store.delete("f", "k") is True
    assert await store.delete("f", "k") is False
    assert await store.all("f") == {}


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


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan"), float("inf"), True, "10"])
async def test_a_lifetime_that_is_none_is_refused(ttl_s: Any) -> None:
    store = MemoryStateStore()

    with pytest.raises(InvalidParamsError, match="the ttl is"):
        await store.set("f", "k", 1, ttl_s=ttl_s)

    assert await store.get("f", "k") is None


async def test_what_json_cannot_hold_is_refused_with_its_place() -> None:
    store = MemoryStateStore()

    with pytest.raises(ValuePathError, match=r"state\['k'\]\.loss is NaN"):
        await store.set("f", "k", {"loss": float("nan")})

    assert await store.get("f", "k") is None


async def test_incr_counts_from_nothing_and_keeps_the_lifetime() -> None:
    clock = Seconds()
    store = MemoryStateStore(clock=clock)

    assert await store.incr("f", "n") == 1
    assert await store.incr("f", "n", 4) == 5
    assert await store.incr("f", "n", -0.5) == 4.5
    await store.set("f", "short", 1, ttl_s=10)
    assert await store.incr("f", "short") == 2
    clock.now += 10

    assert await store.all("f") == {"n": 4.5}


async def test_increments_of_many_jobs_at_once_are_all_counted() -> None:
    store = MemoryStateStore()

    await asyncio.gather(*(store.incr("f", "n") for _ in range(200)))

    assert await store.get("f", "n") == 200


@pytest.mark.parametrize("value", ["1", None, [1], True])
async def test_incr_of_something_else_is_refused_and_changes_nothing(value: Any) -> None:
    store = MemoryStateStore()
    await store.set("f", "k", value)

    with pytest.raises(InvalidParamsError, match="incr of state 'k': its value is"):
        await store.incr("f", "k")
    with pytest.raises(InvalidParamsError, match="incr of state 'n': the step is"):
        await store.incr("f", "n", value)

    assert await store.all("f") == {"k": value}
