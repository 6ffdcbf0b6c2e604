"""A few rounds of kills and of what people then do to the files; tests/soak has two hundred."""

from __future__ import annotations

from pathlib import Path

from tests.soak.kills import KINDS, Rounds


async def test_a_killed_server_and_whatever_is_done_to_its_files_leave_every_job_accounted_for(
    tmp_path: Path,
) -> None:
    rounds = Rounds(tmp_path, seed=2)

    for number, kind in enumerate(KINDS):
        await rounds.round(number, kind)

    assert rounds.accepted > 0
    assert rounds.refused > 0
