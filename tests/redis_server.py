"""A real Redis for tests: private, on a free port, gone when they are."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import redis

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
        self.args = list(args)
        self._argv += self.args
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


class PrivateSentinel:
    """A primary, its replica, and one Sentinel that watches them as `main`.

    Attributes:
        primary: What is the primary at first.
        replica: What takes its place.
        port: The Sentinel's.
        url: The address of the service.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nq-sentinel-")
        # Without the pause before a copy is sent.
        args = ["--repl-diskless-sync-delay", "0"]
        self.primary = PrivateRedis(args=args)
        self.replica = PrivateRedis(args=[*args, "--replicaof", f"127.0.0.1 {self.primary.port}"])
        self.port = _free_port()
        self.url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{self.port}/main?db=0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> PrivateSentinel:
        """Start all three, and wait until the replica is known and has a copy."""
        self.primary.start()
        self.replica.start()
        settings = Path(self._folder.name) / "sentinel.conf"
        settings.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self._folder.name}\n"
            f"logfile {self._folder.name}/sentinel.log\n"
            f"sentinel monitor main 127.0.0.1 {self.primary.port} 1\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 1000\n"
        )
        argv = ["setpriv", "--pdeathsig", "KILL", "redis-server", str(settings), "--sentinel"]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        while not self._is_ready():
            if time.monotonic() > deadline:
                raise RuntimeError("the Sentinel or its replica did not start")
            time.sleep(0.05)  # it has no event for "ready"
        return self

    def stop(self) -> None:
        """End all three."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.primary.stop()
        self.replica.stop()
        self._folder.cleanup()

    def _is_ready(self) -> bool:
        try:
            with redis.Redis(port=self.port, decode_responses=True) as sentinel:
                known = sentinel.execute_command("SENTINEL", "REPLICAS", "main")
            with redis.Redis(port=self.replica.port) as replica:
                return bool(known) and replica.info("replication")["master_link_status"] == "up"
        except redis.RedisError:
            return False


class PrivateCluster:
    """Three nodes that share the slots among them.

    Attributes:
        nodes: The nodes.
        url: The address of the cluster, by one of them.
    """

    def __init__(self) -> None:
        args = ["--cluster-enabled", "yes", "--cluster-port"]
        self.nodes = [PrivateRedis(args=[*args, str(_free_port())]) for _ in range(3)]
        self.url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{self.nodes[2].port}"

    def start(self) -> PrivateCluster:
        """Start them, and wait until each knows where all slots are."""
        for number, node in enumerate(self.nodes):
            first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
            node.start()
            with redis.Redis(port=node.port) as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes:
            with redis.Redis(port=node.port) as client:
                for other in self.nodes:
                    port = other.args[-1]
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, port)
        deadline = time.monotonic() + _START_S
        while not all(self._is_ready(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster did not start")
            time.sleep(0.05)  # it has no event for "ready"
        return self

    def stop(self) -> None:
        """End them."""
        for node in self.nodes:
            node.stop()

    @staticmethod
    def _is_ready(node: PrivateRedis) -> bool:
        with redis.Redis(port=node.port, decode_responses=True) as client:
            told = client.execute_command("CLUSTER", "INFO")
            known = client.execute_command("CLUSTER", "SLOTS")
        return "cluster_state:ok" in str(told) and len(known) == 3


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
