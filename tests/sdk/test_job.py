"""The job's envelope, whatever a host sent: D4 and host-contract 7 row 15."""

from __future__ import annotations

from typing import Any

import pytest

from nuxt_queue.sdk.job import Job

CONTEXT = {"jobId": "c1", "stepName": "train", "attempt": 3}


@pytest.mark.parametrize(
    "given",
    [
        {"data": {"x": 1}},
        {"data": None},
        {"id": "1", "data": {"x": 1}},
        {"name": "n", "data": [1]},
        {"opts": {"attempts": 2}, "data": "text"},
        {"attemptsMade": 0, "data": 0},
        {"id": "1", "name": "n", "data": {}, "attemptsMade": 1, "opts": {}, "extra": True},
    ],
    ids=repr,
)
def test_an_envelope_is_taken_as_it_is(given: dict[str, Any]) -> None:
    """Row 15: `data` with one of the marks, or `data` alone."""
    job = Job.of(given, CONTEXT)

    assert job["data"] == given["data"]
    for key, value in given.items():
        assert job[key] == value
    assert set(job) == {"id", "name", "data", "attemptsMade", "opts", *given}


@pytest.mark.parametrize(
    "given",
    [
        {"x": 1},
        {},
        None,
        [1, 2],
        "text",
        0,
        False,
        {"id": "1"},
        {"id": "1", "name": "n"},
        {"data": 1, "x": 2},
        {"opts": {}, "payload": 1},
    ],
    ids=repr,
)
def test_bare_data_becomes_the_data_of_an_envelope(given: Any) -> None:
    """What a host by the letter of the specification sends: `job: input`."""
    job = Job.of(given, CONTEXT)

    assert job["data"] == given
    assert (job.id, job.name) == ("c1", "train")
    assert job == {"id": "c1", "name": "train", "data": given, "attemptsMade": 2, "opts": {}}


def test_the_job_and_its_data_are_one_to_code_that_expects_bare_data() -> None:
    """Item access falls through to the data for keys that the job itself does not have."""
    job = Job.of({"id": "1", "data": {"samples": [1], "id": "inner"}}, {})

    assert job["samples"] == [1]
    assert job["id"] == "1"
    assert job["data"]["id"] == "inner"
    assert "samples" not in job
    with pytest.raises(KeyError, match="nothing"):
        job["nothing"]


def test_a_key_of_data_that_is_no_object_is_a_key_error() -> None:
    for data in (None, [1], "samples", 5):
        with pytest.raises(KeyError):
            Job.of(data, {})["samples"]


def test_the_parts_are_attributes_too() -> None:
    job = Job.of({"id": 7, "name": "n", "data": {"x": 1}}, {})

    assert (job.id, job.name, job.data, job.input, job.inputs) == ("7", "n", {"x": 1}, {"x": 1}, {})
    assert isinstance(job, dict)


@pytest.mark.parametrize("attempt", [None, 0, 1])
def test_the_first_attempt_has_made_no_attempts(attempt: int | None) -> None:
    assert Job.of(None, {"attempt": attempt})["attemptsMade"] == 0


def test_the_payload_of_the_one_subscribed_event_becomes_the_data() -> None:
    """D4: the newer host keys a step's input by event name."""
    job = Job.of({"data.prepared": {"rows": 5}}, CONTEXT, ["data.prepared"])

    assert job["data"] == {"rows": 5}
    assert job.inputs == {"data.prepared": {"rows": 5}}
    assert job["rows"] == 5


def test_the_payloads_of_several_events_are_kept_apart() -> None:
    given = {"id": "1", "data": {"a": {"x": 1}, "b": {"x": 2}}}
    job = Job.of(given, {}, ["a", "b"])

    assert job["data"] == {"a": {"x": 1}, "b": {"x": 2}}
    assert job.inputs["b"] == {"x": 2}


@pytest.mark.parametrize(
    ("data", "subscribes"),
    [
        ({"a": 1, "flowId": "f"}, ["a"]),
        ({"x": 1}, ["a"]),
        ({}, ["a"]),
        ([], ["a"]),
        ({"a": 1}, []),
    ],
    ids=repr,
)
def test_other_data_is_left_in_peace(data: Any, subscribes: list[str]) -> None:
    job = Job.of({"id": "1", "data": data}, {}, subscribes)

    assert job["data"] == data
    assert job.inputs == {}


def test_inputs_that_the_host_sends_are_kept() -> None:
    """This project's own host sends them apart."""
    given = {"id": "1", "data": {"a": 1}, "inputs": {"a": {"v": 1}}}
    job = Job.of(given, {}, ["a"])

    assert job["data"] == {"a": 1}
    assert job.inputs == {"a": {"v": 1}}
