"""What a worker's config may say: `complete_config` and its typed view."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.config import WorkerConfig, complete_config
from nuxt_queue.errors import ConfigError

SEED_CONFIG = {
    "runtime": "python",
    "concurrency": 2,
    "flow": {"role": "step", "subscribes": ["data.prepared"], "emits": ["model.trained"]},
}

FULL_CONFIG: dict[str, Any] = {
    "queue": {
        "name": "training",
        "defaultJobOptions": {
            "attempts": 3,
            "backoff": {"type": "exponential", "delay": 1000},
            "delay": 0,
            "priority": 1,
            "timeout": 60000,
            "lifo": True,
            "removeOnComplete": 100,
            "removeOnFail": False,
        },
        "prefix": "nq",
        "limiter": {"max": 10, "duration": 1000},
    },
    "flow": {
        "name": ["ml-flow", "nightly"],
        "role": "step",
        "step": "train",
        "emits": ["model.trained"],
        "subscribes": ["data.prepared", "step:prepare"],
        "join": "any",
        "triggers": {"define": {"name": "start", "webhook": {"path": None}}},
        "stepTimeout": 600000,
        "awaitBefore": {"type": "time", "delay": 1000},
        "awaitAfter": {"type": "webhook"},
    },
    "runtime": "python",
    "concurrency": 2,
    "timeout": 300000,
    "worker": {
        "runtime": "python",
        "concurrency": 2,
        "timeout": 300000,
        "lockDurationMs": 30000,
        "maxStalledCount": 0,
        "drainDelayMs": 5,
        "autorun": False,
        "pollingIntervalMs": 1000,
    },
    "middleware": {"auth": True},
}


def test_an_empty_config_gets_its_names_from_the_file_and_the_python_runtime() -> None:
    """host-contract 1.2: the queue is named after the file."""
    assert complete_config({}, stem="train_model") == {
        "queue": {"name": "train_model"},
        "runtime": "python",
        "concurrency": 1,
        "worker": {"runtime": "python", "concurrency": 1},
    }


def test_a_config_with_every_key_the_host_knows_is_complete_already() -> None:
    """host-contract 4."""
    assert complete_config(FULL_CONFIG, stem="train_model") == FULL_CONFIG


def test_one_name_is_a_list_of_one_and_missing_lists_are_empty() -> None:
    flow = {"name": "ml-flow", "role": "step", "subscribes": "data.prepared"}
    assert complete_config({"flow": flow}, stem="train_model")["flow"] == {
        "name": ["ml-flow"],
        "role": "step",
        "step": "train_model",
        "emits": [],
        "subscribes": ["data.prepared"],
    }


def test_a_name_listed_twice_counts_once() -> None:
    flow = {"name": "f", "emits": ["a", "b", "a"]}
    assert complete_config({"flow": flow}, stem="w")["flow"]["emits"] == ["a", "b"]


@pytest.mark.parametrize("queue", ["training", {"name": "training"}])
def test_a_queue_is_stated_by_name_or_as_a_mapping(queue: Any) -> None:
    assert complete_config({"queue": queue}, stem="w")["queue"] == {"name": "training"}


@pytest.mark.parametrize("stated", [{"name": None}, {}, None])
def test_null_counts_as_not_stated(stated: Any) -> None:
    assert complete_config({"queue": stated, "flow": None}, stem="w")["queue"] == {"name": "w"}


def test_an_empty_flow_is_no_flow() -> None:
    assert "flow" not in complete_config({"flow": {}}, stem="w")


@pytest.mark.parametrize(
    ("flow", "role"), [({"name": "f"}, "entry"), ({"name": "f", "subscribes": "e"}, "step")]
)
def test_a_flow_without_a_role_is_an_entry_unless_it_subscribes(flow: Any, role: str) -> None:
    assert complete_config({"flow": flow}, stem="w")["flow"]["role"] == role


def test_what_worker_states_wins_and_both_spellings_are_written() -> None:
    """Flat and nested settings are one thing (host-contract 7.20)."""
    stated = {"concurrency": 2, "timeout": 1000, "worker": {"concurrency": 5, "runtime": "julia"}}
    completed = complete_config(stated, stem="w")
    expected = {"runtime": "julia", "concurrency": 5, "timeout": 1000}
    assert completed["worker"] == expected
    assert {key: completed[key] for key in expected} == expected


def test_a_number_as_backoff_is_a_fixed_one() -> None:
    stated = {"queue": {"name": "q", "defaultJobOptions": {"backoff": 500}}}
    options = complete_config(stated, stem="w")["queue"]["defaultJobOptions"]
    assert options == {"backoff": {"type": "fixed", "delay": 500}}


@pytest.mark.parametrize("kept", [True, False, 0, 7, {"age": 60}, {"age": 60, "count": 3}])
def test_finished_jobs_are_kept_as_bullmq_states_it(kept: Any) -> None:
    stated = {"queue": {"name": "q", "defaultJobOptions": {"removeOnComplete": kept}}}
    options = complete_config(stated, stem="w")["queue"]["defaultJobOptions"]
    assert options["removeOnComplete"] == kept


def test_tuples_become_lists() -> None:
    """host-contract 1.3: the loader's JSON does the same."""
    flow = complete_config({"flow": {"name": ("f",), "emits": ("a", "b")}}, stem="w")["flow"]
    assert (flow["name"], flow["emits"]) == (["f"], ["a", "b"])


@pytest.mark.parametrize(
    "stated", [{}, SEED_CONFIG, FULL_CONFIG, {"queue": "q", "timeout": 5, "flow": {"name": "f"}}]
)
def test_completing_twice_changes_nothing_and_the_stated_config_stays_as_it_was(
    stated: Any,
) -> None:
    before = copy.deepcopy(stated)
    once = complete_config(stated, stem="w")
    assert complete_config(once, stem="another") == once
    assert stated == before
    assert json.loads(json.dumps(once, allow_nan=False)) == once


BAD_CONFIGS: list[tuple[Any, str]] = [
    ([1], "config is a list; expected a dictionary"),
    (None, "config is a NoneType; expected a dictionary"),
    ({"timeoutt": 3}, "config.timeoutt is no known key; did you mean timeout?"),
    (
        {"timeout_ms": 3},
        "config.timeout_ms is no known key; did you mean timeout, in milliseconds?",
    ),
    ({"name": "x"}, "config.name is no known key; did you mean config.queue.name?"),
    ({"emits": []}, "config.emits is no known key; did you mean config.flow.emits?"),
    (
        {"worker": {"attempts": 3}},
        (
            "config.worker.attempts is no known key;"
            " did you mean config.queue.defaultJobOptions.attempts?"
        ),
    ),
    (
        {"zzz": 1},
        (
            "config.zzz is no known key; known keys:"
            " queue, flow, runtime, concurrency, timeout, worker, middleware"
        ),
    ),
    ({"flow": {"nme": "f"}}, "config.flow.nme is no known key; did you mean name?"),
    (
        {"queue": {"default_job_options": {}}},
        "config.queue.default_job_options is no known key; did you mean defaultJobOptions?",
    ),
    (
        {"timeout": "5m"},
        'config.timeout is "5m"; expected whole milliseconds, from 1 to 2147483647',
    ),
    (
        {"timeout": True},
        "config.timeout is true; expected whole milliseconds, from 1 to 2147483647",
    ),
    ({"timeout": 0}, "config.timeout is 0; expected whole milliseconds, from 1 to 2147483647"),
    (
        {"timeout": 2**31},
        "config.timeout is 2147483648; expected whole milliseconds, from 1 to 2147483647",
    ),
    ({"concurrency": 0}, "config.concurrency is 0; expected a whole number from 1 to 2147483647"),
    (
        {"concurrency": 2.0},
        "config.concurrency is 2.0; expected a whole number from 1 to 2147483647",
    ),
    (
        {"worker": {"concurrency": "two"}},
        'config.worker.concurrency is "two"; expected a whole number from 1 to 2147483647',
    ),
    (
        {"concurrency": 0, "timeout": "x"},
        (
            "config.concurrency is 0; expected a whole number from 1 to 2147483647"
            " (also wrong: config.timeout)"
        ),
    ),
    ({"runtime": ""}, 'config.runtime is ""; expected a runtime\'s name, such as "python"'),
    ({"runtime": 3}, 'config.runtime is 3; expected a runtime\'s name, such as "python"'),
    ({"queue": 3}, "config.queue is 3; expected a queue's name or a mapping"),
    ({"flow": "f"}, 'config.flow is "f"; expected a mapping'),
    ({"worker": []}, "config.worker is []; expected a mapping"),
    (
        {"queue": "a:b"},
        (
            'config.queue.name is "a:b"; expected a name: printable, not empty, without ":" and'
            " without blanks at its ends"
        ),
    ),
    (
        {"queue": " a"},
        (
            'config.queue.name is " a"; expected a name: printable, not empty, without ":" and'
            " without blanks at its ends"
        ),
    ),
    (
        {"flow": {"name": "f", "step": ["a"]}},
        (
            'config.flow.step is ["a"]; expected one step: a name: printable, not empty, without'
            ' ":" and without blanks at its ends'
        ),
    ),
    ({"flow": {"name": []}}, "config.flow.name is []; expected a flow's name or a list of them"),
    (
        {"flow": {"name": ""}},
        'config.flow.name[0] is ""; expected a flow\'s name or a list of them',
    ),
    (
        {"flow": {"name": "f", "role": "exit"}},
        'config.flow.role is "exit"; expected "entry" or "step"',
    ),
    (
        {"flow": {"name": "f", "emits": ["a", 2]}},
        "config.flow.emits[1] is 2; expected an event's name or a list of them",
    ),
    ({"flow": {"name": "f", "join": "one"}}, 'config.flow.join is "one"; expected "all" or "any"'),
    (
        {"queue": {"defaultJobOptions": {"priority": 3000000}}},
        (
            "config.queue.defaultJobOptions.priority is 3000000; expected a whole number from 0 to"
            " 2097152"
        ),
    ),
    (
        {"queue": {"defaultJobOptions": {"repeat": {"cron": "0 3 * * *"}}}},
        ("config.queue.defaultJobOptions holds repeat: a job states it when it is enqueued"),
    ),
    (
        {"queue": {"limiter": {"max": 1}}},
        (
            "config.queue.limiter.duration is missing; expected whole milliseconds, from 1 to"
            " 2147483647"
        ),
    ),
    (
        {"queue": {"limiter": {"max": 1, "duration": 5, "groupKey": "user"}}},
        "config.queue.limiter.groupKey is no known key; known keys: max, duration",
    ),
    (
        {"queue": {"defaultJobOptions": {"backoff": {"type": "linear"}}}},
        (
            'config.queue.defaultJobOptions.backoff.type is "linear"; expected "fixed" or'
            ' "exponential"'
        ),
    ),
    (
        {"queue": {"defaultJobOptions": {"removeOnFail": -1}}},
        (
            "config.queue.defaultJobOptions.removeOnFail is -1;"
            " expected true, false, how many to keep, up to 2147483647, or {age, count}"
        ),
    ),
    (
        {"timeout": float("nan")},
        "config.timeout is nan, which JSON cannot hold; write a finite number",
    ),
    (
        {"middleware": [float("inf")]},
        "config.middleware[0] is inf, which JSON cannot hold; write a finite number",
    ),
    (
        {"flow": {"name": "f", "emits": {"a"}}},
        "config.flow.emits is a set, which JSON cannot hold; write a list",
    ),
    ({"queue": b"q"}, "config.queue is a bytes, which JSON cannot hold; write plain data"),
    ({"queue": Path("q")}, "config.queue is a PosixPath, which JSON cannot hold; write plain data"),
    ({"flow": {1: 2}}, "config.flow has the key 1; keys are strings"),
    (
        {"queue": "\ud800"},
        "config.queue holds half a character, a lone surrogate; write the whole one",
    ),
]


@pytest.mark.parametrize(("stated", "message"), BAD_CONFIGS)
def test_a_wrong_config_is_refused_with_path_value_and_fix(stated: Any, message: str) -> None:
    """See faults 92."""
    with pytest.raises(ConfigError) as caught:
        complete_config(stated, stem="w")
    assert str(caught.value) == message


def test_a_long_wrong_value_is_cut_in_the_message() -> None:
    with pytest.raises(ConfigError) as caught:
        complete_config({"timeout": "x" * 10_000}, stem="w")
    assert len(str(caught.value)) < 200


def test_a_config_that_contains_itself_is_refused() -> None:
    stated: dict[str, Any] = {"middleware": {}}
    stated["middleware"]["again"] = stated
    with pytest.raises(ConfigError, match="is nested deeper than 64 levels"):
        complete_config(stated, stem="w")


def test_a_file_whose_name_is_no_queue_name_has_to_state_one() -> None:
    with pytest.raises(ConfigError, match=r'config\.queue\.name is "a:b"'):
        complete_config({}, stem="a:b")
    assert complete_config({"queue": "ab"}, stem="a:b")["queue"] == {"name": "ab"}


def test_the_typed_view_names_queue_job_and_limits() -> None:
    config = WorkerConfig.read(FULL_CONFIG, stem="train_model")
    assert (config.queue_name, config.job_name) == ("training", "train")
    assert (config.runtime, config.concurrency, config.timeout_ms) == ("python", 2, 300000)
    assert config.attempts == 3
    assert config.flow is not None
    assert config.flow.names == ["ml-flow", "nightly"]
    assert config.to_wire() == FULL_CONFIG


def test_a_flow_without_a_name_is_none_and_the_job_is_named_after_the_file() -> None:
    """The host drops such a flow (host-contract 1.1); the stated one is kept to be warned about."""
    config = WorkerConfig.read(SEED_CONFIG, stem="train_model")
    assert config.flow is None
    assert (config.queue_name, config.job_name) == ("train_model", "train_model")
    assert config.to_wire()["flow"]["role"] == "step"
