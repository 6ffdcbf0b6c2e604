"""The command line as a whole: its commands, and what becomes of their errors."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from nuxt_queue.cli import conformance, doctor, enqueue, flow, jobs, logs, run, scan, serve
from nuxt_queue.cli.notices import warnings_to
from nuxt_queue.cli.output import BAD_CALL, DONE, FAILED, INTERRUPTED, say
from nuxt_queue.errors import NuxtQueueError
from nuxt_queue.text import has_surrogate, one_line

__all__ = ["main"]

_ABOUT = """\
Work on a folder of queue workers: look at it, run a job or a flow, serve its queues.

Results go to stdout, everything said about them to stderr.
Exit status: 0 done, 1 the job or the flow failed, 2 a bad call, 130 interrupted."""

_SHOW_BUGS = "NQ_TRACEBACK"

# Without them `nq` can say what is missing, and nothing else.
_EXTRAS = {
    "pydantic": "host",
    "pydantic_core": "host",
    "tree_sitter": "host",
    "croniter": "host",
    "prometheus_client": "host",
    "rich": "host",
    "watchfiles": "host",
    "bullmq": "redis",
    "redis": "redis",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    _open_what_is_closed()
    _write_anything()
    given = sys.argv[1:] if argv is None else argv
    for word in given:
        if has_surrogate(word):  # it cannot be a name
            return say(f"an argument is not UTF-8: {word}", BAD_CALL)
    try:
        try:
            args = _parser().parse_args(given)
            command: Callable[[argparse.Namespace], int] = args.command
            with warnings_to(_note):
                status = command(args)
        finally:  # --help has been written too
            sys.stdout.flush()
    except NuxtQueueError as error:
        status = say(str(error), BAD_CALL)
    except BrokenPipeError:  # `nq scan | head`: the reader has seen enough
        status = DONE
    except KeyboardInterrupt:
        status = say("interrupted", INTERRUPTED)
    except Exception as error:
        if os.environ.get(_SHOW_BUGS):
            raise
        status = _unexpected(error)
    _let_go_of_stdout()
    return status


def _open_what_is_closed() -> None:
    """Give a standard stream that is closed a place: else the next file opened would be it."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one
            if getattr(sys, name) is None:
                setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 a descriptor, for good


def _let_go_of_stdout() -> None:
    """Leave nothing that the end of the interpreter would try to write again, and complain of."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _unexpected(error: Exception) -> int:
    """Say what nobody foresaw, in one line."""
    if isinstance(error, ModuleNotFoundError) and (extra := _EXTRAS.get(error.name or "")):
        need = f"this needs the extra `{extra}`: pip install 'nuxt-queue[{extra}]'"
        return say(f"{need} ({error.name} is not installed)", BAD_CALL)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return say(f"{where}{error.strerror}", BAD_CALL)
    what = f"{type(error).__name__}: {error}"
    return say(f"a bug of nq: {what}; {_SHOW_BUGS}=1 shows where, for a report", FAILED)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(one_line(message))  # it repeats arguments


def _note(message: str, *, is_bad: bool = False) -> None:  # noqa: ARG001 a display marks it
    say(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nq", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (scan, run, serve, enqueue, jobs, logs, flow, doctor, conformance):
        module.add_to(commands)
    return parser


def _write_anything() -> None:
    """Let what the encoding of a stream does not have be written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
