"""Raises an exception of every form; in a coroutine when asked to."""

import asyncio
import threading


class HoldsALock(Exception):
    def __init__(self):
        super().__init__("cannot be pickled")
        self.lock = threading.Lock()


class StrRaises(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class RefersToItself(Exception):
    def __init__(self):
        super().__init__("refers to itself")
        self.me = self
        self.args = ("refers to itself",)
        self.__cause__ = None


def deep(n):
    return deep(n + 1)


def chain():
    try:
        raise KeyError("inner")
    except KeyError as inner:
        raise ValueError("outer") from inner


def circle():
    a, b = ValueError("a"), KeyError("b")
    a.__cause__, b.__cause__ = b, a
    raise a


def throw(error):
    raise error


FORMS = {
    "plain": lambda: {}["gone"],
    "lock": lambda: throw(HoldsALock()),
    "str raises": lambda: throw(StrRaises()),
    "itself": lambda: throw(RefersToItself()),
    "huge": lambda: throw(ValueError("x" * 1_000_000)),
    "deep": lambda: deep(0),
    "group": lambda: throw(ExceptionGroup("many", [ValueError("one"), KeyError("two")])),
    "cause": chain,
    "circle": circle,
    "surrogate": lambda: throw(ValueError("half \ud800 a pair")),
    "KeyboardInterrupt": lambda: throw(KeyboardInterrupt()),
    "CancelledError": lambda: throw(asyncio.CancelledError()),
    "GeneratorExit": lambda: throw(GeneratorExit()),
    "MemoryError": lambda: throw(MemoryError()),
    "StopIteration": lambda: throw(StopIteration(5)),
}


async def in_a_coroutine(form):
    await asyncio.sleep(0)
    FORMS[form]()


def handler(job, ctx):
    form = job["data"]["form"]
    return in_a_coroutine(form) if job["data"]["async"] else FORMS[form]()
