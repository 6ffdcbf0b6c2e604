"""Values of the user's on their way: checked and encoded once, decoded once.

What is long is dealt with in a thread and in pieces, so that the event loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from nuxt_queue.rpc.bulk import bulk_text, is_large
from nuxt_queue.rpc.codec import MESSAGE_DEPTH, Encoded, decode
from nuxt_queue.rpc.pieces import LARGE, check
from nuxt_queue.rpc.values import refuse_large_integers, to_text

__all__ = ["checked", "decoded", "encoded", "refuse_rounding", "taken_in"]

_MANY_DIGITS = re.compile(rb"[0-9]{16}")


async def encoded(value: Any, path: str) -> Encoded:
    """Return a value as JSON text; one that is `Encoded` has been checked where it came in.

    Args:
        value: Anything that JSON can hold.
        path: What to call it in an error, for example `result`.

    Raises:
        ValuePathError: JSON cannot hold it.
    """
    if type(value) is Encoded:
        return value
    if is_large(value):
        return await asyncio.to_thread(lambda: Encoded(bulk_text(value, path)))
    return Encoded(to_text(value, path))


async def taken_in(value: Any, path: str) -> Any:
    """Return a copy of a value as plain data, or `Encoded` if it is long; else as `encoded`."""
    text = await encoded(value, path)
    return text if len(text) > LARGE else text.value()


async def checked(text: bytes) -> Encoded:
    """Return a text that somebody else has written, if it is JSON.

    Raises:
        ParseError: It is not.
    """
    if len(text) > LARGE:
        await asyncio.to_thread(check, text, MESSAGE_DEPTH)
    else:
        decode(text)
    return Encoded(text)


async def decoded(value: Any) -> Any:
    """Return a value that may be `Encoded` as what it is."""
    if type(value) is not Encoded:
        return value
    if len(value) > LARGE:
        return await asyncio.to_thread(value.value)
    return value.value()


async def refuse_rounding(value: Encoded, path: str) -> None:
    """Raise ValuePathError for an integer that JavaScript would round; names its place."""
    if _MANY_DIGITS.search(value.text):
        refuse_large_integers(await decoded(value), path)
