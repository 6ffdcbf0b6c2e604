"""Whatever one file holds or is, the scan returns, and the healthy neighbour is listed."""

from __future__ import annotations

import codecs
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from nuxt_queue.config import ProjectConfig
from nuxt_queue.errors import WorkerLoadError
from nuxt_queue.registry import read_worker, scan

PYTHON = (
    'config = {"queue": {"name": "odd"}, "timeout": 2000}\ndef handler(job, ctx):\n    return 1\n'
)
NODE = "export const config = { queue: { name: 'odd' } }\nexport default async (job, ctx) => 1\n"
TOML = 'queue.name = "odd"\ntimeout = 2000\n'
SETTINGS = '[tool.nuxt-queue.runtimes.perl]\ncommand = "perl"\nsuffixes = [".pl"]\n'
CODINGS = (
    *("punycode", "idna", "unicode_escape", "raw_unicode_escape", "utf-7", "utf-16", "utf-32"),
    *("rot13", "zlib", "hex", "base64", "bz2", "uu", "quopri", "undefined", "mbcs", "oem"),
    *("utf-8-sig", "utf_8_sig", "cp037", "big5", "hz", "iso2022_jp", "palmos", "x\x00y"),
)

Odd = bytes | Callable[[Path], object]


def _sock(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path)[-100:])


ODD: dict[str, Odd] = {
    **{
        f"coding {coding}": f"# coding: {coding}\n{PYTHON}# \xe9\n".encode("latin-1")
        for coding in CODINGS
    },
    "nulls": b"\0" * 100,
    "UTF-16": codecs.BOM_UTF16 + PYTHON.encode("utf-16-le"),
    "UTF-32": codecs.BOM_UTF32 + PYTHON.encode("utf-32-le"),
    "half a mark": codecs.BOM_UTF8[:2],
    "binary": random.Random(0).randbytes(10_000),
    "deep": b"x = " + b"-" * 20_000 + b"1",
    "deep brackets": b"[" * 20_000,
    "deep table": b"a = " + b"[" * 20_000,
    "a number of 20,000 digits": b"config = {'concurrency': " + b"9" * 20_000 + b"}\n",
    "a hexadecimal number": b"config = {'concurrency': 0x" + b"f" * 20_000 + b"}\n",
    "a deep config": b"config = " + b"{'a': " * 90 + b"1" + b"}" * 90 + b"\n",
    "a complex number": b"config = {'concurrency': 1j, 'queue': b'x', 'flow': ...}\n",
    "surrogates": b"config = {'queue': '\\ud800', '\\udc80': 1}\n",
    "empty": b"",
    "large": b"#" * (4 * 2**20 + 1),
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": _sock,
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a device": lambda path: path.symlink_to("/dev/tty"),
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "the kernel's messages": lambda path: path.symlink_to("/proc/kmsg"),
    "a file of /proc": lambda path: path.symlink_to("/proc/self/mem"),
}


def with_neighbour(folder: Path) -> Path:
    (folder / "healthy.py").write_text(PYTHON.replace("odd", "healthy"), "utf-8")
    (folder / "pyproject.toml").write_text(SETTINGS, "utf-8")
    return folder


def make(path: Path, odd: Odd) -> None:
    if isinstance(odd, bytes):
        path.write_bytes(odd)
    else:
        odd(path)


@pytest.mark.parametrize(
    "name", ["odd.py", "odd.ts", "odd.js", "odd.pl", "odd.pl.toml", "odd.pl.json"]
)
@pytest.mark.parametrize("kind", ODD)
def test_a_file_of_any_kind_is_at_most_its_own_problem(
    tmp_path: Path, kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ProjectConfig.find(with_neighbour(tmp_path))
    make(tmp_path / name, ODD[kind])
    if name.startswith("odd.pl."):
        (tmp_path / "odd.pl").touch()

    found = scan(tmp_path, settings)

    assert "healthy" in [entry.job for entry in found.entries]
    assert {problem.path.name for problem in found.problems} <= {name, "odd.pl"}


def test_what_no_reader_foresees_is_a_problem_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_neighbour(tmp_path)
    (tmp_path / "odd.ts").write_text(NODE, "utf-8")
    for surprise in (
        MemoryError("no room"),
        RecursionError("deep"),
        LookupError("x"),
        OSError(5, "I/O"),
    ):

        def read(_path: Path, surprise: Exception = surprise) -> None:
            raise surprise

        monkeypatch.setattr("nuxt_queue.registry.node.read_node_source", read)
        found = scan(tmp_path)
        assert [entry.job for entry in found.entries] == ["healthy"]
        assert [p.path.name for p in found.problems] == ["odd.ts"]
        with pytest.raises(WorkerLoadError, match="cannot be read: "):
            read_worker(tmp_path / "odd.ts")


@pytest.mark.parametrize(
    ("name", "text"), [("odd.py", PYTHON), ("odd.ts", NODE), ("odd.pl.toml", TOML)]
)
def test_a_scan_returns_for_any_mutation_of_a_worker(tmp_path: Path, name: str, text: str) -> None:
    settings = ProjectConfig.find(with_neighbour(tmp_path))
    (tmp_path / "odd.pl").touch()
    chance = random.Random(name)
    bits = [b"\0", b"\xff", b"\xed\xa0\x80", b"{" * 300, b"'", b"# coding: punycode\n", b"..."]
    bits += [b"\\ud800", b"1e999", b"0x" + b"f" * 5000, b"**", b"\r", b"\x1a", b"\xef\xbb\xbf"]
    for _ in range(150):
        data = bytearray(text.encode())
        for _ in range(chance.randint(1, 4)):
            at, until = sorted(chance.randrange(len(data) + 1) for _ in range(2))
            data[at : min(until, at + 20)] = chance.choice([*bits, chance.randbytes(8), b""])
        (tmp_path / name).write_bytes(data)
        assert "healthy" in [entry.job for entry in scan(tmp_path, settings).entries], bytes(data)


def test_folders_nested_deeper_than_the_stack_are_read(tmp_path: Path) -> None:
    with_neighbour(tmp_path)
    here = tmp_path
    for _ in range(1_100):
        here /= "d"
        here.mkdir()
    (here / "deep.py").write_text(PYTHON, "utf-8")
    try:
        assert [entry.name for entry in scan(tmp_path).entries] == ["deep", "healthy"]
    finally:  # pytest removes folders by recursion
        (here / "deep.py").unlink()
        while here != tmp_path:
            here.rmdir()
            here = here.parent
