"""The wire is as strict where the private half of `json` is missing or works differently."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest

from nuxt_queue.errors import ParseError
from nuxt_queue.rpc import codec

TAKEN = [
    b"null", b" [1, 2.5, -0.0, 1e300] ", b'{"a": {"b": [true, false]}, "a": 1}',
    b'"\\u00e9\\ud83d\\ude00"',
    '["\u00e9\U0001f600"]'.encode(), b"[" * 512 + b"]" * 512, b"1" * 4300,
]  # fmt: skip
REFUSED = [
    b"", b"[1,]", b"NaN", b"[Infinity]", b"1e999", b'"\x01"', b'"\\ud800"', b"[1] 2", b"\xff",
    b"01",
    b"[" * 529 + b"]" * 529, b"1" * 4301, b"{'a': 1}", b'{"a" 1}', b"[1 2]", b"tru", b"-", b'"',
]  # fmt: skip
WRITTEN = [
    None, True, 1, 0.1, "a\u00e9\U0001f600\n", [1, [2, {}]], {"a": {"b": (1, 2)}, "c": []}, 2**70,
    {"kept": codec.Encoded(b'[1, "\xc3\xa9"]'), "b": [codec.Encoded(b"2")]},
]  # fmt: skip
NOT_WRITTEN = [float("nan"), float("inf"), {1, 2}, object(), {"a": b"x"}, {(1, 2): 3}]


def missing(_name: str) -> Any:
    raise ImportError("there is no such module")


def wants_more(*_arguments: Any) -> Any:
    raise AttributeError("'_Reading' object has no attribute 'array_hook'")


def answers_otherwise(*_arguments: Any) -> Any:
    return lambda *_: ("something else", 0)


@pytest.mark.parametrize("surprise", [None, wants_more, answers_otherwise], ids=str)
def test_json_itself_takes_over(surprise: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = None
    if surprise is not None:
        other = ModuleType("_json")
        other.__dict__.update(
            make_scanner=surprise, make_encoder=surprise, encode_basestring_ascii=ascii
        )
    monkeypatch.setitem(sys.modules, "_json", other)
    spec = importlib.util.spec_from_file_location("codec_without_its_half", codec.__file__)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.undo()

    for text in TAKEN:
        assert repr(made.decode(text)) == repr(codec.decode(text))
    for text in REFUSED:
        for each in (made, codec):
            with pytest.raises(ParseError):
                each.decode(text)
    value: Any
    for value in WRITTEN:
        held = _with(made, value)
        assert made.encode(held) == codec.encode(value)
    for value in NOT_WRITTEN:
        for each in (made, codec):
            with pytest.raises((ValueError, TypeError)):
                each.encode(value)


def _with(made: ModuleType, value: Any) -> Any:
    """Replace what this module calls encoded by what the other does."""
    if isinstance(value, codec.Encoded):
        return made.Encoded(value.text)
    if isinstance(value, dict):
        return {key: _with(made, item) for key, item in value.items()}
    return [_with(made, item) for item in value] if isinstance(value, list) else value
