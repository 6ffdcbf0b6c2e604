"""WorkerEntry: a worker that was found; Problem: what is wrong with a file or a flow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nuxt_queue.config import FlowConfig
from nuxt_queue.text import one_line, utf8

__all__ = ["Problem", "WorkerEntry"]


@dataclass(frozen=True, slots=True)
class WorkerEntry:
    """One worker.

    Attributes:
        kind: Its file's suffix without the dot: `py`.
        id: Its path below the scanned folder, without the suffix: `ml/train_model`.
        name: The last part of the id.
        path: Its path below the project's root, with a slash first, as the host writes it.
        abs_path: Where the file is.
        queue: The queue its jobs come from.
        job: The name of its jobs: its step, or its own name outside a flow.
        flow: Its place in its flows; None when it is in none.
        worker: `runtime`, `concurrency` and `timeout` (milliseconds, always a number), and what
            else the config states under `worker`.
        config: The completed config, as JSON data with the host's names.
    """

    kind: str
    id: str
    name: str
    path: str
    abs_path: Path
    queue: str
    job: str
    flow: FlowConfig | None
    worker: dict[str, Any]
    config: dict[str, Any]

    def to_wire(self) -> dict[str, Any]:
        """Return the entry as the host's registry writes it; `flow` is left out without a flow."""
        wire = {
            "kind": self.kind,
            "id": self.id,
            "name": self.name,
            "path": self.path,
            "absPath": str(self.abs_path),
            "queue": self.config["queue"],
            "job": self.job,
        }
        if self.flow:
            stated = self.config["flow"]
            rest = {key: value for key, value in stated.items() if key != "name"}
            wire["flow"] = {"names": stated["name"], **rest}
        return {**wire, "worker": self.worker, "config": self.config}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a file, or odd about it, and what to do.

    Attributes:
        path: The file, or the folder, absolute.
        line: Where in it, from 1; None when no line is to blame.
        reason: One sentence.
    """

    path: Path
    line: int | None
    reason: str

    def __str__(self) -> str:
        # A file's name may hold anything, line breaks and bytes that are no text included.
        return one_line(f"{self.path}{f':{self.line}' if self.line else ''}: {self.reason}")

    def to_wire(self) -> dict[str, Any]:
        """Return the problem as JSON data."""
        return {"path": utf8(str(self.path)), "line": self.line, "reason": utf8(self.reason)}
