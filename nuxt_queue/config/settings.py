"""Settings: a strict pydantic model whose errors are one line that names key, value and fix."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from nuxt_queue.config.bounds import MAX_MS
from nuxt_queue.errors import ConfigError
from nuxt_queue.text import has_surrogate

__all__ = [
    "MAX_MS",
    "SUSPICIOUS_MS",
    "Refusal",
    "Settings",
    "closest",
    "field_at",
    "plain_json",
    "shown_path",
    "suspicious_ms",
]

# Nobody gives a worker less than a second; whoever writes 30 means seconds.
SUSPICIOUS_MS = 1_000

_MAX_DEPTH = 64  # a config nested deeper than this is a mistake
_WORD = re.compile(r"\S+")
_UNION_MEMBERS = ("bool", "int", "KeepJobs", "constrained-int")
_SHOWN = 60  # characters of a wrong value in a message
_UNIT = re.compile(
    r"(?<=[a-z])_?(s|sec|secs|seconds|ms|millis|milliseconds|minutes)$", re.IGNORECASE
)


class Refusal(ValueError):  # noqa: N818 a validator refuses
    """Raised by a validator; its text goes on where the name of what is wrong ends."""


class Settings(BaseModel):
    """Settings by their wire names: frozen, nothing converted, nothing unknown.

    The description of a field says what it expects; it is what an error message quotes.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", alias_generator=to_camel)

    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that people put here, and the path below the top where they belong."""

    @classmethod
    def check(cls, raw: Any, where: str) -> Self:
        """Return the settings in `raw`.

        Args:
            raw: A mapping with wire names.
            where: What to call it in an error, for example `config`.

        Raises:
            ConfigError: Something in it is wrong; the message names path, value and fix.
        """
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            found = {
                shown_path(where, e["loc"]): e for e in reversed(error.errors(include_url=False))
            }
            (path, first), *others = reversed(found.items())
            also = f" (also wrong: {', '.join(path for path, _ in others)})" if others else ""
            raise ConfigError(f"{path} {_problem(cls, first, where)}{also}") from None


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` looks like, or None; `time_out_ms` is like `timeout`."""
    by_letters = {_letters(name): name for name in known}
    close = difflib.get_close_matches(_letters(word), by_letters, n=1, cutoff=0.7)
    return by_letters[close[0]] if close else None


def suspicious_ms(name: str, value: int) -> str:
    """Say that a time is so short that it was probably given in seconds."""
    return f"{name} is {value}: timeouts are milliseconds; did you mean {value * 1_000}?"


def plain_json(value: Any, path: str) -> Any:
    """Return a copy of `value` that holds nothing but JSON; a tuple becomes a list.

    Nothing else is converted: a config is read by programs that do not run Python.

    Raises:
        ConfigError: JSON cannot hold something; the message names its path.
    """
    return _plain(value, path, 0)


def _plain(value: Any, path: str, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ConfigError(f"{path[:_SHOWN]}... is nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise ConfigError(f"{path} has the key {_shown(key)}; keys are strings")
            _refuse_surrogates(key, f"a key of {path}")
        return {key: _plain(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{path} is {value}, which JSON cannot hold; write a finite number")
    if type(value) is str:
        _refuse_surrogates(value, path)
    elif type(value) not in (int, float, bool, type(None)):
        kind = type(value).__name__
        hint = "write a list" if isinstance(value, set | frozenset) else "write plain data"
        raise ConfigError(f"{path} is a {kind}, which JSON cannot hold; {hint}")
    return value


def _refuse_surrogates(text: str, path: str) -> None:
    if has_surrogate(text):
        raise ConfigError(f"{path} holds half a character, a lone surrogate; write the whole one")


def field_at(
    model: type[Settings], loc: Iterable[int | str]
) -> tuple[type[Settings], FieldInfo | None]:
    """Return the model and the field that the place of a validation error is in."""
    owner = model
    field: FieldInfo | None = None
    for part in loc:
        if part in _UNION_MEMBERS:
            continue
        inner = _model_of(field) if field else owner
        if inner is None or isinstance(part, int):  # an item is described with what holds it
            break
        owner, field = inner, _fields(inner).get(part)
    return owner, field


def _problem(model: type[Settings], error: ErrorDetails, where: str) -> str:
    owner, field = field_at(model, error["loc"])
    reason = error.get("ctx", {}).get("error")
    if isinstance(reason, Refusal):
        return str(reason)
    if error["type"] == "extra_forbidden":
        return f"is no known key; {_hint(owner, str(error['loc'][-1]), where)}"
    expected = field.description if field else None
    seen = "missing" if error["type"] == "missing" else _shown(error["input"])
    return f"is {seen}; expected {expected or 'a mapping of settings'}"


def _hint(owner: type[Settings], key: str, where: str) -> str:
    if key in owner.elsewhere:
        return f"did you mean {where}.{owner.elsewhere[key]}?"
    known = _fields(owner)
    close = closest(key, known) or closest(_UNIT.sub("", key), known)
    if close is None:
        return f"known keys: {', '.join(known)}"
    unit = _UNIT.search(key) and "milliseconds" in str(known[close].description)
    return f"did you mean {close}, in milliseconds?" if unit else f"did you mean {close}?"


def _fields(model: type[Settings]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_of(field: FieldInfo) -> type[Settings] | None:
    kinds = (field.annotation, *get_args(field.annotation))
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Settings)), None)


def shown_path(where: str, loc: Iterable[int | str]) -> str:
    """Return the path of a validation error as its author wrote it."""
    # A union adds the name of the member that it tried.
    parts = [part for part in loc if part not in _UNION_MEMBERS]
    return where + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts)


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, default=repr, ensure_ascii=False, skipkeys=True)
    except ValueError:  # Python writes no number of more than 4300 digits
        return f"a {type(value).__name__} that is too large to be shown"
    text = _WORD.sub(_without_login, text)  # an address in the wrong place may hold a password
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _without_login(word: re.Match[str]) -> str:
    before, slashes, address = word[0].partition("//")
    login, at, host = address.rpartition("@")
    return f"{before}//***@{host}" if slashes and at and login else word[0]


def _letters(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
