"""How a worker of Node is started: through our bootstrap, which speaks the protocol for it.

TypeScript is translated by the tsx of the worker's own project; where there is none, Node does it
if it is new enough.  What is missing is an error when the worker is registered.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nuxt_queue.errors import ConfigError
from nuxt_queue.runner.launch import Launch, LaunchOptions, child_environment
from nuxt_queue.runner.probe import node_of
from nuxt_queue.runner.programs import find_program

__all__ = ["NODE_BOOTSTRAP", "NODE_RUNTIMES", "node_launch"]

NODE_BOOTSTRAP = Path(__file__).parent / "node" / "bootstrap.mjs"
# Whether a process of the runtime runs one job after another.
NODE_RUNTIMES = {"node": True, "node-isolated": False}

_TYPESCRIPT = frozenset({".ts", ".mts", ".cts"})
_Version = tuple[int, int, int]
_HOOKS = (20, 6)  # since when Node can be told how to load a module


def node_launch(runtime: str, path: Path, options: LaunchOptions) -> Launch:
    """Say how to start a worker of Node.

    Args:
        runtime: One of `NODE_RUNTIMES`.
        path: The worker file.
        options: What the settings say.

    Raises:
        ConfigError: There is no Node, it is too old, or the worker is in TypeScript and nothing
            here can translate it; says what was looked for, where, and how to fix it.
    """
    where = f"runtimes.{runtime}.command"
    command = options.command or (find_program(where, "node", path.parent),)
    version = node_of(command, path.parent, where)
    native = path.suffix in _TYPESCRIPT and _tsx_of(path) is None
    if native and not _strips_types(version):
        raise ConfigError(_no_typescript(path, version))
    if path.suffix in _TYPESCRIPT and version < _HOOKS:
        raise ConfigError(f"{path} is TypeScript, which tsx translates for Node 20.6 or newer")
    process = options.process or ("reuse" if NODE_RUNTIMES[runtime] else "spawn")
    if process == "fork":
        raise ConfigError(
            f'runtimes.{runtime}.process is "fork", which only Python can; use "reuse"'
        )
    reuse = process == "reuse"
    limits = options.limits
    return Launch(
        (
            *command,
            *_flags(version, native_typescript=native),
            *([f"--max-old-space-size={limits.memory_mb}"] if limits.memory_mb else []),
            *options.args,
            str(NODE_BOOTSTRAP),
            *(["--reuse"] if reuse else []),
            str(path),
        ),
        child_environment(options.env, options.env_passthrough),
        options.cwd or path.parent,
        replace(limits, memory_mb=None),  # it reserves far more address space than it uses
        private_wire=True,
        announces_start=True,
        reuse=reuse,
        javascript=True,
    )


def _flags(version: _Version, *, native_typescript: bool) -> list[str]:
    """Return what an older Node has to be told, and what no worker's log should repeat."""
    flags = []
    if (20, 10) <= version < (20, 19) or (21, 1) <= version < (22, 7):
        flags.append("--experimental-detect-module")  # `export default` in a .js file
    if (20, 11) <= version < (21,) or version >= (21, 3):
        flags.append("--disable-warning=MODULE_TYPELESS_PACKAGE_JSON")
        if native_typescript:
            flags.append("--disable-warning=ExperimentalWarning")
    return flags


def _strips_types(version: _Version) -> bool:
    return (22, 18) <= version < (23,) or version >= (23, 6)


def _tsx_of(path: Path) -> Path | None:
    """Find tsx as Node does: in the `node_modules` of the worker's folder or of one above it."""
    for folder in path.parents:
        tsx = folder / "node_modules" / "tsx"
        if (tsx / "package.json").is_file():
            return tsx
    return None


def _no_typescript(path: Path, version: _Version) -> str:
    projects = [folder for folder in path.parents if (folder / "package.json").is_file()]
    project = projects[0] if projects else path.parent
    return (
        f"{path} is TypeScript, which Node {'.'.join(map(str, version))} cannot run: there is no"
        f" node_modules/tsx in {path.parent} or a folder above it; install it with"
        f" `npm install --save-dev tsx` in {project}, or use Node 22.18 or newer"
    )
