"""Lines out of streams: any chunking, any bytes, on the parent's side and on the child's.

faults 24, 30 and 31, and section B: any interleaving of chunks gives the same messages.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuxt_queue.errors import PeerClosedError
from nuxt_queue.rpc.codec import decode, encode
from nuxt_queue.runner.lines import Lines
from nuxt_queue.sdk.stdio import StdioChannel

WAIT_S = 10.0

_lines = st.lists(
    st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")) | st.just(b" \r"), max_size=8
)
_cuts = st.lists(st.integers(0, 120), max_size=12)


def chunks(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Cut a stream at the given places."""
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        yield stream[start:end]


def told(lines: list[bytes]) -> list[bytes]:
    """What a reader must see: every line that is not blank."""
    return [line for line in lines if line.strip()]


async def test_the_parent_finds_the_same_lines_however_they_are_cut() -> None:
    """Faults 30: any cut, any number of lines in a chunk, and a last line without its newline."""

    @given(_lines, _cuts, st.booleans())
    @settings(max_examples=200, deadline=None)
    def check(lines: list[bytes], cuts: list[int], last_is_open: bool) -> None:  # noqa: FBT001 hypothesis draws it
        seen: list[bytes] = []
        reader = Lines(seen.append, 1_000)
        stream = b"\n".join(lines) + (b"" if last_is_open else b"\n")
        for chunk in chunks(stream, cuts):
            reader.data_received(chunk)
        reader.connection_lost(None)
        assert seen == told(lines)
        assert reader.ended.done()

    check()


async def test_the_parent_reads_a_message_cut_at_every_byte() -> None:
    """Faults 30 and 31: text of every width, and what other readers take for a newline."""
    values = ["aé€😀", "\u2028\u2029\u0085", "\x0b\x0c\x1c\r\0", {"clé": ["\u2028"]}]
    raw = [b'"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"', *(encode(v).rstrip(b"\n") for v in values)]
    for end in (b"\n", b"\r\n"):
        stream = b"".join(line + end for line in raw)
        for at in range(len(stream) + 1):
            seen: list[bytes] = []
            reader = Lines(seen.append, 1_000)
            reader.data_received(stream[:at])
            reader.data_received(stream[at:])
            assert [decode(line) for line in seen] == [values[0], *values]
        one_by_one: list[bytes] = []
        reader = Lines(one_by_one.append, 1_000)
        for byte in stream:
            reader.data_received(bytes([byte]))
        assert [decode(line) for line in one_by_one] == [values[0], *values]


@pytest.mark.parametrize("chunk", [1_000, 50])
@pytest.mark.parametrize("size", [99, 100, 101])
async def test_a_message_may_be_as_long_as_the_limit_and_no_longer(size: int, chunk: int) -> None:
    """Faults 24 and 25: limit - 1, limit, limit + 1."""
    seen: list[bytes] = []
    excess: list[None] = []
    reader = Lines(seen.append, 100, lambda: excess.append(None))

    stream = b"x" * size + b"\nnext\n"
    for at in range(0, len(stream), chunk):
        reader.data_received(stream[at : at + chunk])
    reader.connection_lost(None)

    if size <= 100:
        assert (seen, excess) == ([b"x" * size, b"next"], [])
    else:
        assert (seen, excess) == ([], [None])  # once, and nothing after it is believed


async def test_the_rest_of_a_message_that_is_too_long_is_never_taken_for_one() -> None:
    """Faults 22 and 24: a result could be hidden in it."""
    seen: list[bytes] = []
    excess: list[None] = []
    reader = Lines(seen.append, 100, lambda: excess.append(None))

    for _ in range(10):
        reader.data_received(b"x" * 60)
    reader.data_received(b'\n{"jsonrpc":"2.0","id":1,"result":"FORGED"}\n')
    reader.connection_lost(None)

    assert (seen, excess) == ([], [None])


async def test_printed_text_without_a_newline_is_handed_on_in_pieces() -> None:
    """Faults 24: at most the limit each, and nothing lost."""
    seen: list[bytes] = []
    reader = Lines(seen.append, 100)

    for size in (30, 250, 1, 99, 100, 101, 1_000):
        reader.data_received(b"x" * size)
    reader.data_received(b"\n" + b"y" * 250 + b"\nz")
    reader.connection_lost(None)

    assert b"".join(seen) == b"x" * 1581 + b"y" * 250 + b"z"
    assert max(map(len, seen)) == 100
    assert b"xy" not in b"".join(line + b"|" for line in seen)


class Pipes:
    """A StdioChannel on two pipes, with the other ends of them."""

    def __init__(self) -> None:
        reads, self.to_child = os.pipe()
        self.from_child, writes = os.pipe()
        self.channel = StdioChannel(reads, writes)
        self._own = [reads, writes]
        self.lines: list[bytes] = []
        self.ended = threading.Event()

    def listen(self) -> None:
        """Collect what arrives."""
        self.channel.listen(self.lines.append, self.ended.set)

    def close(self) -> None:
        """Close whatever is still open."""
        for fd in (self.to_child, self.from_child, *self._own):
            try:
                os.close(fd)
            except OSError:  # a test closed it
                continue


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """A channel on pipes."""
    made = Pipes()
    yield made
    made.close()


@given(_lines, _cuts)
@settings(max_examples=60, deadline=None)
def test_the_child_finds_the_same_lines_however_they_are_cut(
    lines: list[bytes], cuts: list[int]
) -> None:
    """Faults 30."""
    pipes = Pipes()
    pipes.listen()
    for chunk in chunks(b"".join(line + b"\n" for line in lines), cuts):
        os.write(pipes.to_child, chunk)
    os.close(pipes.to_child)
    assert pipes.ended.wait(WAIT_S)
    pipes.close()

    assert pipes.lines == told(lines)


def test_the_child_reads_a_line_of_megabytes(pipes: Pipes) -> None:
    """host-contract 7 row 22: no limit at 64 KiB."""
    pipes.listen()
    big = b"x" * 5_000_000
    with os.fdopen(pipes.to_child, "wb") as stream:
        stream.write(big + b"\nsmall\n")
    assert pipes.ended.wait(WAIT_S)

    assert pipes.lines == [big, b"small"]


def test_lines_of_many_threads_are_never_mixed(pipes: Pipes) -> None:
    """Faults 84: also lines longer than a pipe holds."""
    got: list[bytes] = []

    def read() -> None:
        with os.fdopen(os.dup(pipes.from_child), "rb") as stream:
            for line in stream:
                got.append(line)
                if len(got) == 8 * 20:
                    return

    reader = threading.Thread(target=read)
    reader.start()
    sizes = [10, 4_096, 70_000]
    expected = [b"%c" % (97 + t) * sizes[n % 3] + b"\n" for t in range(8) for n in range(20)]

    def write(lines: list[bytes]) -> None:
        for line in lines:
            pipes.channel.write(line)

    writers = [
        threading.Thread(target=write, args=(expected[t * 20 : t * 20 + 20],)) for t in range(8)
    ]
    for thread in writers:
        thread.start()
    for thread in (*writers, reader):
        thread.join(WAIT_S)

    assert sorted(got) == sorted(expected)


def test_writing_to_a_host_that_is_gone_says_so(pipes: Pipes) -> None:
    os.close(pipes.from_child)
    with pytest.raises(PeerClosedError, match="Broken pipe"):
        pipes.channel.write(b"x\n")


def test_an_answer_that_nobody_reads_ends_the_listening(pipes: Pipes) -> None:
    """A host that reads no more has gone, whatever it still writes."""

    def answer(_line: bytes) -> None:
        pipes.channel.write(b"answer\n")

    os.close(pipes.from_child)
    pipes.channel.listen(answer, pipes.ended.set)
    os.write(pipes.to_child, b"a question\n")

    assert pipes.ended.wait(WAIT_S)
