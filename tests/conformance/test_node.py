"""`nq conformance` of the kit's own Node side."""

from __future__ import annotations

import sys
from pathlib import Path

from nuxt_queue.conformance import examine
from nuxt_queue.runner.nodejs import NODE_BOOTSTRAP

HERE = Path(__file__).parent
HANDLER = HERE.parent / "samples" / "conformance" / "cooperates.mjs"
# What a worker owes to a host that loses long lines: only one that keeps them has a private wire.
FOR_OTHER_HOSTS = {40, 41}


async def test_node_keeps_every_clause() -> None:
    """Faults B, node side: requests, framing, calls, values, life."""
    command = [sys.executable, "-I", "-S", str(HERE / "over_a_private_wire.py")]
    report = await examine([*command, str(NODE_BOOTSTRAP), str(HANDLER)], wait_s=10, exit_s=10)
    verdicts = {v.clause.number: (v.status, v.seen) for v in report.verdicts}
    problems = {number: seen for number, (status, seen) in verdicts.items() if status != "ok"}
    assert problems.keys() == FOR_OTHER_HOSTS, problems
