"""What a worker file states: its handler and its config."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar, overload

    _Handler = TypeVar("_Handler", bound=Callable[..., Any])

__all__ = ["check_handler", "define_config", "define_worker"]

_GENERATOR, _ASYNC_GENERATOR, _VARARGS = 0x20, 0x200, 0x04  # flags of a code object
_ARGUMENTS = 2  # job and ctx

if TYPE_CHECKING:

    @overload
    def define_worker(handler: _Handler) -> _Handler: ...
    @overload
    def define_worker(handler: None = None) -> Callable[[_Handler], _Handler]: ...


def define_worker(handler: Any = None) -> Any:
    """Mark a function as the worker's handler; it stays the function that it is.

    Use it as `@define_worker`, as `@define_worker()` or as a call.

    Raises:
        TypeError: If it cannot be called as `handler(job, ctx)`.
    """
    if handler is None:
        return define_worker
    check_handler(handler)
    return handler


def define_config(config: Mapping[str, Any] | None = None, /, **keys: Any) -> dict[str, Any]:
    """Return a worker's config as a plain dictionary.

    Raises:
        TypeError: If it is no mapping.
        ValuePathError: If JSON cannot hold something in it.
    """
    if config is not None and not hasattr(config, "keys"):
        raise TypeError(f"a config is a dictionary, not {type(config).__name__}")
    from nuxt_queue.rpc.values import to_json

    plain: dict[str, Any] = to_json({**(config or {}), **keys}, "config")
    return plain


def check_handler(handler: Any) -> None:
    """Raise TypeError, naming file and line, unless `handler(job, ctx)` can be called and awaited.

    Looks at plain functions without `inspect`, which costs a worker as much as starting Python.
    """
    if not callable(handler):
        raise TypeError(f"a handler is a function (job, ctx), not {type(handler).__name__}")
    if type(handler) is not type(check_handler) or hasattr(handler, "__wrapped__"):
        _check_by_signature(handler)
        return
    code = handler.__code__
    where = f"{handler.__qualname__} ({code.co_filename}:{code.co_firstlineno})"
    if code.co_flags & (_GENERATOR | _ASYNC_GENERATOR):
        raise TypeError(f"{where} is a generator; a handler returns its result instead of yielding")
    least = code.co_argcount - len(handler.__defaults__ or ())
    takes_two = code.co_argcount >= _ARGUMENTS or code.co_flags & _VARARGS
    needs_keywords = len(handler.__kwdefaults__ or ()) < code.co_kwonlyargcount
    if needs_keywords or least > _ARGUMENTS or not takes_two:
        raise TypeError(f"{where} must take exactly two arguments: job and ctx")


def _check_by_signature(handler: Any) -> None:
    import inspect

    try:
        inspect.signature(handler).bind(None, None)
    except TypeError as error:
        name = getattr(handler, "__qualname__", repr(handler))
        raise TypeError(f"{name} must take exactly two arguments, job and ctx: {error}") from None
    except ValueError:  # a builtin without a signature: only calling it can tell
        return
    call = inspect.unwrap(getattr(handler, "func", handler))
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise TypeError(f"{handler!r} is a generator; a handler returns its result")
