"""The command line as a whole: its commands, and what becomes of their errors."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

from nuxt_queue.cli import conformance, flow, run, scan
from nuxt_queue.cli.output import BAD_CALL, DONE, INTERRUPTED, say
from nuxt_queue.errors import NuxtQueueError

__all__ = ["main"]

_ABOUT = """\
Work on a folder of queue workers: look at it, run one job, run a flow.

Results go to stdout, everything said about them to stderr.
Exit status: 0 done, 1 the job or the flow failed, 2 a bad call, 130 interrupted."""

# What the extra `host` brings; without it `nq` can say what is missing, and nothing else.
_HOST = frozenset({"pydantic", "pydantic_core"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    _write_anything()
    args = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        status = command(args)
        sys.stdout.flush()
    except ModuleNotFoundError as missing:
        if missing.name not in _HOST:
            raise
        return say("nq needs the extra `host`: pip install 'nuxt-queue[host]'", BAD_CALL)
    except NuxtQueueError as error:
        return say(str(error), BAD_CALL)
    except BrokenPipeError:  # `nq scan | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except KeyboardInterrupt:
        return say("interrupted", INTERRUPTED)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nq", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (scan, run, flow, conformance):
        module.add_to(commands)
    return parser


def _write_anything() -> None:
    """Let what the encoding of a stream does not have be written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
