from __future__ import annotations

import pytest

from nuxt_queue.services.scope import Scope


@pytest.mark.parametrize(("flow_id", "run_id"), [("f1", "f1"), (None, "j1"), ("", "j1")])
def test_events_of_a_job_belong_to_its_flow_or_else_to_itself(
    flow_id: str | None, run_id: str
) -> None:
    assert Scope(job_id="j1", queue="q", flow_id=flow_id).run_id == run_id


def test_the_wire_has_the_seven_fields_and_more_only_when_set() -> None:
    """host-contract 7 row 16: all seven, missing ones null."""
    plain = Scope(job_id="j1", queue="q", step_name="a", step_id="j1__a__attempt-2", attempt=2)
    resumed = Scope(job_id="j1", queue="q", trigger={"x": 0}, await_config={"type": "time"})

    assert plain.to_wire() == {
        "jobId": "j1",
        "queue": "q",
        "flowId": None,
        "flowName": None,
        "stepName": "a",
        "stepId": "j1__a__attempt-2",
        "attempt": 2,
    }
    assert resumed.to_wire()["trigger"] == {"x": 0}
    assert resumed.to_wire()["awaitConfig"] == {"type": "time"}
