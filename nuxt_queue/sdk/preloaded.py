"""What imports leave in a fork server that its copies would share, and how each copy gets its own.

- Hooks of `atexit` and `weakref.finalize` belong to the server, which calls them when it ends.
- A file that is open for reading is opened again in a copy, at the same place.
- What has been opened otherwise, a socket for example, cannot be had twice: it is named.
- A generator of random numbers that was made without a seed is seeded again.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import random
import secrets
import stat
import sys
import weakref
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["Preloaded"]

_SAME_FOR_ALL = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}
_SEED_BITS = 128  # of what numpy draws when it is given no seed
_FILE: Any = io.IOBase.__base__  # the class in C: an abstract one takes its time to tell


class Preloaded:
    """Watches what is imported until `look`, and keeps it apart in copies.

    Attributes:
        problems: What cannot be kept apart, a sentence each.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._before = _descriptors()
        self._maps = _shared_maps()
        self._readers: list[tuple[int, int]] = []
        self._writers: list[Any] = []
        self._seeds = _Seeds()

    def look(self) -> None:
        """Look at what has been imported; call it once, before `gc.freeze`."""
        objects = gc.get_objects()
        self._seeds.find(objects)
        self._writers = [thing for thing in objects if issubclass(type(thing), _FILE)]
        self.flush()  # else each copy would write it
        for fd in sorted(_descriptors() - self._before):
            self._look_at(fd)
        self.problems += [
            f"preloading has mapped {path} into memory for writing, which all jobs share;"
            " map it in the handler"
            for path in sorted(_shared_maps() - self._maps)
        ]

    def flush(self) -> None:
        """Write out what is held back by files that were opened before the copy was made."""
        for file in (sys.stdout, sys.stderr, *self._writers):
            with contextlib.suppress(Exception):  # closed, a full disk, a class of the user's
                file.flush()

    def seed(self) -> None:
        """Give the next copy random numbers of its own; `random` itself does so at a fork."""
        self._seeds.renew()

    def keep_apart(self, end: Callable[[], None]) -> None:
        """Have a copy's own files and hooks; `end` is called last, after the hooks of the job."""
        for fd, flags in self._readers:
            own = os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)
            os.lseek(own, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
            os.dup2(own, fd, inheritable=os.get_inheritable(fd))
            os.close(own)
        atexit.register(end)  # which ends the process before the hooks of the server are reached
        for finalizer in [*weakref.finalize._registry]:  # type: ignore[attr-defined]  # noqa: SLF001
            finalizer.detach()
        weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]  # noqa: SLF001
        for module, hook in (("logging", "shutdown"), ("multiprocessing.util", "_exit_function")):
            if module in sys.modules:  # what the standard library does for each process
                atexit.register(getattr(sys.modules[module], hook))

    def end(self) -> None:
        """Call the hooks of what has been imported, in the server."""
        atexit._run_exitfuncs()  # noqa: SLF001 as multiprocessing does in its copies
        self.flush()

    def _look_at(self, fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        mode, flags = os.fstat(fd).st_mode, _flags(fd)
        is_read_only = flags & os.O_ACCMODE == os.O_RDONLY
        if path in _SAME_FOR_ALL or stat.S_ISDIR(mode):
            return
        if stat.S_ISREG(mode) and is_read_only:
            self._readers.append((fd, flags))
        elif stat.S_ISREG(mode):
            self.problems.append(
                f"preloading has opened {path} for writing, which all jobs share;"
                " open it in the handler"
            )
        else:
            self.problems.append(
                f"preloading has opened {path} (descriptor {fd}), which all jobs share: what is"
                " meant for one may reach another; open it in the handler"
            )


class _Seeds:
    """Finds the generators that were made without a seed, as a fresh process would make them."""

    def __init__(self) -> None:
        self._unseeded: weakref.WeakSet[random.Random] = weakref.WeakSet()
        self._drawn: set[int] = set()
        self._renewals: list[Callable[[], None]] = []
        self._seed, self._randbits = random.Random.seed, secrets.randbits
        seeds = self

        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            (seeds._unseeded.add if a is None else seeds._unseeded.discard)(generator)
            seeds._seed(generator, a, version)

        def randbits(k: int) -> int:
            drawn = seeds._randbits(k)
            if k == _SEED_BITS:
                seeds._drawn.add(drawn)
            return drawn

        random.Random.seed = seed  # type: ignore[method-assign, assignment]
        secrets.randbits = randbits

    def find(self, objects: list[Any]) -> None:
        """Find them among all objects, and take note no more."""
        random.Random.seed = self._seed  # type: ignore[method-assign]
        secrets.randbits = self._randbits
        self._renewals = [generator.seed for generator in self._unseeded]
        self._renewals += self._of_numpy(objects)
        self._drawn.clear()

    def renew(self) -> None:
        """Seed them from the system."""
        for renew in self._renewals:
            renew()

    def _of_numpy(self, objects: list[Any]) -> Iterator[Callable[[], None]]:
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is None:
            return
        yield numpy_random.seed  # of its global functions
        kinds = (numpy_random.Generator, numpy_random.RandomState)
        for thing in objects:
            if isinstance(thing, kinds):
                bits = _bits_of(thing)
                if getattr(bits.seed_seq, "entropy", None) in self._drawn:
                    yield partial(_renew, bits)


def _bits_of(generator: Any) -> Any:
    return getattr(generator, "bit_generator", None) or generator._bit_generator  # noqa: SLF001 of a RandomState


def _renew(bits: Any) -> None:
    bits.state = type(bits)().state


def _descriptors() -> set[int]:
    found = {int(name) for name in os.listdir("/proc/self/fd")}
    return {fd for fd in found if os.path.exists(f"/proc/self/fdinfo/{fd}")}


def _flags(fd: int) -> int:
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        return next(int(line.split()[1], 8) for line in file if line.startswith("flags"))


def _shared_maps() -> set[str]:
    """Return the files that are mapped so that what is written is seen by others."""
    with open("/proc/self/maps", encoding="utf-8", errors="backslashreplace") as file:
        fields = [line.rstrip("\n").partition("/") for line in file if " rw-s " in line]
    return {slash + path for _, slash, path in fields if path}
