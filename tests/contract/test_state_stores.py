"""State, whatever engine keeps it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuxt_queue.errors import InvalidParamsError, ValuePathError
from tests.contract.conftest import Stores

VALUES = [
    0,
    False,
    "",
    None,
    1.5,
    5e-324,
    2**60,
    [],
    {},
    {"a": [1, {"b": None}]},
    "ü",
    "\x00",
    "🎈",
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_a_value_comes_back_as_it_was(stores: Stores, value: Any) -> None:
    """host-contract 2: 0, False and "" are not turned into nothing."""
    await stores.state.set("f", "k", value)

    back = await stores.state.get("f", "k")
    assert back == value
    assert type(back) is type(value)


async def test_a_missing_value_is_none(stores: Stores) -> None:
    assert await stores.state.get("f", "k") is None


async def test_another_process_sees_the_same(stores: Stores) -> None:
    await stores.state.set("f", "k", {"n": 1})
    other = await stores.another()

    assert await other.state.get("f", "k") == {"n": 1}
    await other.state.set("f", "k", 2)
    assert await stores.state.get("f", "k") == 2


async def test_values_are_copies_on_the_way_in_and_out(stores: Stores) -> None:
    """host-contract 2: the host's memory store aliases objects."""
    value = {"rows": [1]}
    await stores.state.set("f", "k", value)

    value["rows"].append(2)
    (await stores.state.get("f", "k") or {})["rows"].append(3)
    (await stores.state.all("f"))["k"]["rows"].append(4)

    assert await stores.state.get("f", "k") == {"rows": [1]}


async def test_scopes_do_not_see_each_other(stores: Stores) -> None:
    """Faults 98; neither by a key that looks like a place of another scope."""
    await stores.state.set("f", "k", 1)
    await stores.state.set("", "k", 2)
    await stores.state.set("", "f:k", 3)
    await stores.state.set("f*", "k", 4)

    assert await stores.state.all("f") == {"k": 1}
    await stores.state.clear("f")

    assert await stores.state.all("f") == {}
    assert await stores.state.all("") == {"k": 2, "f:k": 3}
    assert await stores.state.all("f*") == {"k": 4}


NAMES = [
    "../../etc/passwd",
    "/abs",
    "a\x00b",
    "%2e%2e",
    "C:\\x",
    "x" * 300,
    ".",
    "'; DROP TABLE state; --",
    "{f}:*",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
async def test_a_key_and_a_scope_may_be_any_text(stores: Stores, name: str) -> None:
    """Faults 96, 97: a name is a parameter and never a place."""
    await stores.state.set(name, name, 1)

    assert await stores.state.all(name) == {name: 1}
    assert await stores.state.incr(name, name) == 2
    assert await stores.state.delete(name, name) is True


async def test_a_colon_does_not_join_a_scope_with_a_key(stores: Stores) -> None:
    await stores.state.set("a", "b:c", 1)
    await stores.state.set("a:b", "c", 2)
    await stores.state.set("", "a:b:c", 3)

    assert await stores.state.get("a", "b:c") == 1
    assert await stores.state.all("a:b") == {"c": 2}
    assert await stores.state.get("", "a:b:c") == 3


async def test_deleting_says_whether_there_was_something(stores: Stores) -> None:
    await stores.state.set("f", "k", None)

    assert await stores.state.delete("f", "k") is True
    assert await stores.state.delete("f", "k") is False
    assert await stores.state.all("f") == {}


async def test_a_value_is_gone_when_its_time_is_over(stores: Stores) -> None:
    """host-contract 2: ttl is in seconds."""
    await stores.state.set("f", "short", 1, ttl_s=0.5)
    await stores.state.set("f", "long", 1, ttl_s=600)
    await stores.state.set("f", "new", 1, ttl_s=0.5)
    await stores.state.set("f", "new", 2)

    assert (await stores.state.all("f")).keys() >= {"long", "new"}
    await stores.pass_time(0.6)

    assert await stores.state.get("f", "short") is None
    assert await stores.state.all("f") == {"long": 1, "new": 2}
    assert await stores.state.delete("f", "short") is False


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan"), float("inf"), True, "10"])
async def test_a_lifetime_that_is_none_is_refused(stores: Stores, ttl_s: Any) -> None:
    with pytest.raises(InvalidParamsError, match="the ttl is"):
        await stores.state.set("f", "k", 1, ttl_s=ttl_s)

    assert await stores.state.get("f", "k") is None


async def test_what_json_cannot_hold_is_refused_with_its_place(stores: Stores) -> None:
    with pytest.raises(ValuePathError, match=r"state\['k'\]\.loss is NaN"):
        await stores.state.set("f", "k", {"loss": float("nan")})

    assert await stores.state.get("f", "k") is None


async def test_incr_counts_from_nothing_and_keeps_the_lifetime(stores: Stores) -> None:
    assert await stores.state.incr("f", "n") == 1
    assert await stores.state.incr("f", "n", 4) == 5
    assert await stores.state.incr("f", "n", -0.5) == 4.5
    assert await stores.state.get("f", "n") == 4.5
    await stores.state.set("f", "short", 1, ttl_s=0.5)
    assert await stores.state.incr("f", "short") == 2

    await stores.pass_time(0.6)

    assert await stores.state.all("f") == {"n": 4.5}


async def test_increments_of_many_jobs_at_once_are_all_counted(stores: Stores) -> None:
    """Faults 51."""
    other = await stores.another()

    await asyncio.gather(
        *(each.state.incr("f", "n") for each in (stores, other) for _ in range(50))
    )

    assert await stores.state.get("f", "n") == 100


@pytest.mark.parametrize("value", ["1", None, [1], True])
async def test_incr_of_something_else_is_refused_and_changes_nothing(
    stores: Stores, value: Any
) -> None:
    await stores.state.set("f", "k", value)

    with pytest.raises(InvalidParamsError, match="incr of state 'k': its value is"):
        await stores.state.incr("f", "k")
    with pytest.raises(InvalidParamsError, match="incr of state 'n': the step is"):
        await stores.state.incr("f", "n", value)

    assert await stores.state.all("f") == {"k": value}
