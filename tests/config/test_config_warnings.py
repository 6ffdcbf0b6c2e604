from __future__ import annotations

from typing import Any

import pytest

from nuxt_queue.config import complete_config, config_warnings

STEP = {"name": "f", "role": "step", "subscribes": ["e"]}

ODD_CONFIGS: list[tuple[Any, list[str]]] = [
    ({}, []),
    ({"queue": {"name": "q"}, "timeout": 1000, "flow": STEP}, []),
    ({"timeout": 30}, ["config.timeout is 30: timeouts are milliseconds; did you mean 30000?"]),
    (
        {"worker": {"timeout": 999}},
        ["config.worker.timeout is 999: timeouts are milliseconds; did you mean 999000?"],
    ),
    (
        {"flow": {**STEP, "stepTimeout": 60}},
        ["config.flow.stepTimeout is 60: timeouts are milliseconds; did you mean 60000?"],
    ),
    (
        {"concurrency": 1, "worker": {"concurrency": 2}},
        ["config.worker.concurrency 2 wins over config.concurrency 1; state it once"],
    ),
    (
        {"runtime": "pythonn"},
        ['config.runtime "pythonn" is not built in; did you mean "python"?'],
    ),
    ({"runtime": "julia"}, []),
    (
        {"queue": "q"},
        ['config.queue is a string, which the host ignores; write {"name": "q"}'],
    ),
    (
        {"flow": {"role": "step", "subscribes": ["e"]}},
        ['config.flow has no name, so the host drops the flow; add "name": "<the flow>"'],
    ),
    (
        {"flow": {"name": "f", "subscribes": ["e"]}},
        ['config.flow has no role; taken as "step", which a host may not do; state it'],
    ),
    (
        {"flow": {**STEP, "role": "entry"}},
        ["config.flow.subscribes has no effect on an entry: starting the flow starts it"],
    ),
    (
        {"flow": {"name": "f", "role": "step"}},
        ["config.flow.subscribes is empty, so nothing starts this step; name an event"],
    ),
    (
        {"flow": {**STEP, "emits": "a.b"}},
        ["config.flow.emits is a string, which the host reads letter by letter; write a list"],
    ),
]


@pytest.mark.parametrize(("stated", "warnings"), ODD_CONFIGS)
def test_a_legal_config_that_a_host_misreads_is_warned_about(
    stated: Any, warnings: list[str]
) -> None:
    """host-contract 1.3 and 7.20; faults 92 (seconds for milliseconds)."""
    complete_config(stated, stem="w")
    assert config_warnings(stated) == warnings


def test_what_completing_does_not_mend_is_still_warned_about() -> None:
    completed = complete_config({"timeout": 30, "flow": {"role": "step"}}, stem="w")
    assert config_warnings(completed) == [
        "config.timeout is 30: timeouts are milliseconds; did you mean 30000?",
        'config.flow has no name, so the host drops the flow; add "name": "<the flow>"',
    ]
