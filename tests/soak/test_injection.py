"""Errors of every kind at each await of a job's life, and of its recovery, with the figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract import test_injection as injection

pytestmark = [pytest.mark.soak, pytest.mark.timeout(2_000)]

soon = injection.soon


@pytest.mark.usefixtures("soon")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("engine", injection.ENGINES)
async def test_every_kind_of_error_at_every_await_leaves_no_job_behind(
    engine: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    places, raised, complaints = await injection.errors_at_each_place(
        engine, tmp_path, every_kind=True
    )

    print(f"\n{engine}: {raised} errors at {places} places, 0 jobs left behind")
    assert complaints == []
