"""ProcessSettings: what a worker's process is given, stated by a worker or by its runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from nuxt_queue.config.settings import Settings

__all__ = ["ProcessSettings"]

Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
VariableName = Annotated[str, Field(pattern=r"^[^=\x00]+$")]
VariableValue = Annotated[str, Field(pattern=r"^[^\x00]*$")]

_A_COUNT = "a whole number of 1 or more"


class ProcessSettings(Settings):
    """Limits, environment and folder of a job's process.

    Attributes:
        memory_mb: Address space in MiB, of each process; for Node the heap of JavaScript.
        cpu_seconds: Seconds of processor time, of each process.
        open_files: Open descriptors, of each process.
        file_mb: The size of a file that it writes, in MiB.
        processes: Processes and threads of its user, all taken together.
        max_message: Bytes of the longest message, the job's result among them.
        max_output: Bytes of stdout, and of stderr, that become log records of a job.
        env: Variables to set.
        env_passthrough: Names of the parent's variables to hand on.
        cwd: The folder it runs in: below the worker's, or the project's when the project states it.
    """

    memory_mb: Count | None = Field(None, alias="memory_mb", description=_A_COUNT)
    cpu_seconds: Count | None = Field(None, alias="cpu_seconds", description=_A_COUNT)
    open_files: Count | None = Field(None, alias="open_files", description=_A_COUNT)
    file_mb: Count | None = Field(None, alias="file_mb", description=_A_COUNT)
    processes: Count | None = Field(None, description=_A_COUNT)
    max_message: Count | None = Field(None, alias="max_message", description=_A_COUNT)
    max_output: Count | None = Field(None, alias="max_output", description=_A_COUNT)
    env: dict[VariableName, VariableValue] | None = Field(
        None, description="a mapping of names to strings"
    )
    env_passthrough: list[VariableName] | None = Field(
        None, alias="env_passthrough", description="a list of names of environment variables"
    )
    cwd: Text | None = Field(None, description="a folder, as a string that is not empty")

    @classmethod
    def among(cls, wire: Mapping[str, Any]) -> ProcessSettings:
        """Return those of a mapping of checked settings that are about the process."""
        names = {field.alias or name for name, field in ProcessSettings.model_fields.items()}
        return ProcessSettings.model_validate({n: v for n, v in wire.items() if n in names})

    def below(self, folder: Path) -> Self:
        """Return these with `cwd` as an absolute path."""
        return self.model_copy(update={"cwd": str(folder / self.cwd)}) if self.cwd else self

    def over(self, base: ProcessSettings) -> ProcessSettings:
        """Return these, completed by a base for what they do not state; `env` adds to its own."""
        return ProcessSettings.among(
            {
                **base.model_dump(by_alias=True, exclude_none=True),
                **self.model_dump(by_alias=True, exclude_none=True),
                "env": {**(base.env or {}), **(self.env or {})},
                "env_passthrough": [*(base.env_passthrough or ()), *(self.env_passthrough or ())],
            }
        )
