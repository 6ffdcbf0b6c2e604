"""The wire of a worker, without a process."""

from __future__ import annotations

import os
from _thread import get_ident

from nuxt_queue.rpc.codec import decode
from nuxt_queue.sdk.stdio import StdioChannel


def test_a_record_made_while_its_thread_writes_a_line_is_left_to_be_printed() -> None:
    """A signal handler that logs must neither wait for its own thread nor cut its line in two."""
    reads, writes = os.pipe()
    channel = StdioChannel(-1, writes, framed=True)
    channel._writer = get_ident()
    assert channel.record("error", "tick", {}) is False
    channel._writer = 0
    assert channel.record("error", "a\ud800", {"logger": "x"}) is True
    os.close(writes)
    assert decode(os.read(reads, 1000))["params"] == {
        "level": "error",
        "message": "a\\ud800",
        "metadata": {"logger": "x"},
    }
    os.close(reads)


def test_a_host_that_loses_long_lines_gets_no_record_before_there_is_a_job() -> None:
    reads, writes = os.pipe()
    assert StdioChannel(-1, writes).record("error", "at import", {}) is False
    os.close(writes)
    assert os.read(reads, 1000) == b""
    os.close(reads)
