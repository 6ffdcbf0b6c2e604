"""A real Redis for tests: private, on a free port, gone when they are."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_START_S = 10.0

# Said to whoever has no Redis: the tests do not pretend that they ran.
_MISSING = (
    "the tests need a real Redis and there is no 'redis-server' here; on Debian: "
    "apt-get install --no-install-recommends redis-server"
)


class PrivateRedis:
    """One `redis-server` with an empty folder of its own.

    The kernel kills it when the thread that started it ends, so that an interrupted session
    leaves nothing behind.

    Args:
        appendonly: Whether what was acknowledged is on disk, as production should have it.
        args: Further arguments, for example `--requirepass`.
    """

    def __init__(self, *, appendonly: bool = False, args: Sequence[str] = ()) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nq-redis-")
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._log = Path(self._folder.name) / "redis.log"
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": self._folder.name,
            "logfile": str(self._log),
            "save": "",
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": "always",
        }
        self._argv = ["setpriv", "--pdeathsig", "KILL", "redis-server"]
        self._argv += [word for name, value in options.items() for word in (f"--{name}", value)]
        self._argv += args
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> PrivateRedis:
        """Start it, also after `kill`, and wait until it answers."""
        try:
            self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL)
        except FileNotFoundError:
            raise RuntimeError(_MISSING) from None
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start:\n{self.log()}\n{_MISSING}")
            time.sleep(0.01)  # it has no event for "ready"
        return self

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing, as behind a cut cable."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it and remove its folder."""
        self.kill()
        self._folder.cleanup()

    def log(self) -> str:
        """Return what it has written."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def ask(self, *words: str, login: str | None = None) -> str:
        """Send one command and return the answer as it is on the wire."""
        lines = [*([f"AUTH {login}"] if login else []), " ".join(words)]
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
            reader = connection.makefile("rb")
            return [reader.readline().decode().strip() for _ in lines][-1]

    def _answers(self) -> bool:
        try:
            return self.ask("PING").startswith(("+PONG", "-NOAUTH"))
        except OSError:
            return False


_shared: list[PrivateRedis] = []


def shared_redis() -> PrivateRedis:
    """Return the server that all tests use which do it no harm; `stop_shared` ends it."""
    if not _shared:
        _shared.append(PrivateRedis().start())
    return _shared[0]


def stop_shared() -> None:
    """End the shared server, if a test has used it."""
    while _shared:
        _shared.pop().stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
