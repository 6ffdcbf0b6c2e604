"""What a worker imports: the names that are promised, and what the import costs."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import nuxt_queue

ROOT = Path(__file__).parent.parent

# What loads another half of Python: a job that does not need it must not pay for it.
EXPENSIVE = {
    "asyncio",
    "concurrent",
    "contextlib",
    "ctypes",
    "dataclasses",
    "decimal",
    "email",
    "importlib.metadata",
    "importlib.resources",
    "inspect",
    "enum",
    "functools",
    "ipaddress",
    "json",
    "logging",
    "multiprocessing",
    "pathlib",
    "pickle",
    "queue",
    "random",
    "re",
    "shutil",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "typing",
    "unittest",
    "urllib",
    "uuid",
}


def stdlib_part_modules() -> list[str]:
    """List every module of the parts that a worker may import."""
    names = ["nuxt_queue", "nuxt_queue.errors"]
    for part in ("rpc", "sdk"):
        folder = ROOT / "nuxt_queue" / part
        names += [f"nuxt_queue.{part}"]
        names += [f"nuxt_queue.{part}.{m.name}" for m in pkgutil.iter_modules([str(folder)])]
    scripts = ("nuxt_queue.sdk.bootstrap", "nuxt_queue.sdk.forkserver")
    return [name for name in names if name not in scripts]


def modules_after(statement: str, **env: str) -> set[str]:
    """Run a statement in a Python without packages; return the modules that it loaded."""
    code = (
        f"import sys; sys.path.append({str(ROOT)!r}); before = set(sys.modules)\n"
        f"{statement}\n"
        "sys.stderr.write(' '.join(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env=env,
    )
    return set(done.stderr.split())


def constants_classes_functions(name: str) -> tuple[int, str]:
    """Sort as the formatter does."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("name", stdlib_part_modules())
def test_all_is_sorted_and_exists(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])

    assert list(exported) == sorted(exported, key=constants_classes_functions), name
    assert len(set(exported)) == len(exported)
    for each in exported:
        assert hasattr(module, each), f"{name}.{each}"


@pytest.mark.parametrize("name", stdlib_part_modules())
def test_every_public_function_and_class_is_in_all(name: str) -> None:
    module = importlib.import_module(name)
    defined = {
        each
        for each, value in vars(module).items()
        if not each.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    }
    not_exported = {
        "nuxt_queue.sdk.entry": {"CallFailedError", "run_file"},
    }
    assert defined - set(getattr(module, "__all__", [])) <= not_exported.get(name, set())


def test_the_names_that_a_worker_file_uses_are_there() -> None:
    """host-contract 7 row 29 and D9: aliases for the host's own names."""
    assert set(nuxt_queue.__all__) == {
        "Job",
        "RunContext",
        "define_config",
        "define_queue_config",
        "define_queue_worker",
        "define_worker",
        "run_worker",
    }
    assert nuxt_queue.define_queue_config is nuxt_queue.define_config
    assert nuxt_queue.define_queue_worker is nuxt_queue.define_worker


def test_every_public_thing_has_a_docstring() -> None:
    for name in nuxt_queue.__all__:
        thing = getattr(nuxt_queue, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for attribute, value in vars(thing).items():
                if not attribute.startswith("_") and callable(value):
                    assert inspect.getdoc(value), f"{name}.{attribute}"


def test_the_import_loads_the_standard_library_only_and_little_of_it() -> None:
    """The SDK's promise: an environment stays light, and a job starts at once."""
    loaded = modules_after("import nuxt_queue")

    foreign = {
        m for m in loaded if m.partition(".")[0] not in {*sys.stdlib_module_names, "nuxt_queue"}
    }
    assert foreign == set()
    assert loaded & EXPENSIVE == set()
    assert len({m for m in loaded if not m.startswith("nuxt_queue")}) <= 35, sorted(loaded)


def test_the_import_in_a_worker_s_process_loads_as_little() -> None:
    loaded = modules_after("import nuxt_queue", NUXT_QUEUE_CHILD_PROCESS="1")

    assert loaded & EXPENSIVE == set()


def test_the_import_leaves_stdin_and_stdout_alone_where_no_host_started_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import nuxt_queue; print('out', input())"],
        input="in\n",
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        cwd=ROOT,
    )
    assert (done.stdout, done.stderr) == ("out in\n", "")
