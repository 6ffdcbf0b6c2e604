"""Returns what JSON may not be able to hold."""

import ctypes
import os
from pathlib import Path


class Odd:
    pass


class Crashing(str):
    """Takes the process with it when it is looked at."""

    def __str__(self):
        ctypes.string_at(0)


class Exiting(dict):
    def items(self):
        os._exit(3)


async def forgotten():
    pass


VALUES = {
    "nan": lambda: {"a": [0, 0, 0, {"loss": float("nan")}]},
    "object": lambda: {"model": Odd()},
    "path": lambda: [Path("model.bin")],
    "coroutine": lambda: [forgotten()],
    "nothing": lambda: None,
    "crashing": lambda: {"x": [Path("a"), ctypes.py_object]},
    "segfaults": lambda: Segfaults(),
    "exits": lambda: Exiting(a=1),
    "raises": lambda: Raises(a=1),
    "list segfaults": lambda: SegfaultsAsAList([1]),
    "list exits": lambda: ExitsAsAList([1]),
    "set segfaults": lambda: SegfaultsAsASet({1}),
    "object exits": lambda: ExitsAsAnObject(),
    "deep": lambda: nested(600),
}


class Segfaults(dict):
    def items(self):
        ctypes.string_at(0)


class Raises(dict):
    def items(self):
        raise SystemExit(5)


class SegfaultsAsAList(list):
    def __iter__(self):
        ctypes.string_at(0)


class ExitsAsAList(list):
    def __iter__(self):
        os._exit(3)


class SegfaultsAsASet(set):
    def __iter__(self):
        ctypes.string_at(0)


class ExitsAsAnObject:
    @property
    def __class__(self):
        os._exit(3)


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def handler(job, ctx):
    return VALUES[job["data"]]()
