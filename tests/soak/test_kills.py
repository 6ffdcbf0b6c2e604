"""Kills of a server of the file, each followed by what people do to its files, with the figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.kills import KINDS, run

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4_000)]


async def test_two_hundred_rounds_of_kills_and_deeds_leave_no_damaged_file_in_use(
    tmp_path: Path,
) -> None:
    rounds = await run(tmp_path, 200, seed=1)

    done = ", ".join(f"{kind} {rounds.done[kind]}" for kind in KINDS)
    print(
        f"\n200 rounds ({done}): {rounds.accepted} jobs accepted, {rounds.given_up} times one was"
        f" in a file that was taken away, 0 missing; {rounds.refused} times refused by name,"
        " 0 damaged files in use"
    )
    assert sum(rounds.done.values()) == 200
    assert rounds.refused > 0
