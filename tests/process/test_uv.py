"""`uv run --script` as a command: a worker's own header says which packages it has.

Nothing is fetched: uv is told to stay offline, and finds the one package in a folder.
"""

from __future__ import annotations

import asyncio
import sys
import zipfile
from pathlib import Path

import pytest
from uv import find_uv_bin

from nuxt_queue.config import ProjectConfig
from nuxt_queue.one_job import JobReport, run_job
from nuxt_queue.registry import read_worker

WORKER = """# /// script
# requires-python = ">=3.11"
# dependencies = [{dependencies}]
# ///
import sys
from nuxt_queue import run_worker

config = {{"queue": {{"name": "q"}}, "timeout": 50000{runtime}}}


async def handler(job, ctx):
    try:
        import nq_test_greeting
    except ImportError:
        return "no package"
    await ctx.state.set("prefix", sys.prefix)
    print("printed")
    return nq_test_greeting.TEXT


if __name__ == "__main__":
    run_worker(handler)
"""
SETTINGS = """
[tool.nuxt-queue.runtimes.{name}]
command = "'{uv}' run --quiet --no-config --no-index --find-links '{folder}/wheels' --script"
env = {{UV_OFFLINE = "1", UV_CACHE_DIR = "{folder}/cache", UV_PYTHON = "{python}"}}
"""


def wheel(folder: Path) -> None:
    """Write a package of one module, as a wheel."""
    info = "nq_test_greeting-1.0.dist-info"
    folder.mkdir()
    with zipfile.ZipFile(folder / "nq_test_greeting-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("nq_test_greeting.py", "TEXT = 'from the header'\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: nq-test-greeting\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


async def run(folder: Path, dependencies: str, runtime: str = "") -> JobReport:
    worker = folder / ("with_package.py" if dependencies else "without.py")
    worker.write_text(WORKER.format(dependencies=dependencies, runtime=runtime), "utf-8")
    settings = ProjectConfig.find(folder)
    async with asyncio.timeout(50):
        return await run_job(read_worker(worker, settings=settings), {}, settings=settings)


@pytest.mark.parametrize("name", ["python", "scripts"])
async def test_a_header_chooses_the_environment_of_its_worker(tmp_path: Path, name: str) -> None:
    """As the command of `python`, and of a runtime that some workers state."""
    wheel(tmp_path / "wheels")
    settings = SETTINGS.format(name=name, uv=find_uv_bin(), folder=tmp_path, python=sys.executable)
    (tmp_path / "pyproject.toml").write_text(settings, "utf-8")
    runtime = "" if name == "python" else f', "runtime": "{name}"'

    report = await run(tmp_path, '"nq-test-greeting"', runtime)

    assert (report.error, report.result) == (None, "from the header")
    assert report.state["prefix"].startswith(f"{tmp_path}/cache/")
    assert [(log["message"], log["stream"]) for log in report.logs] == [("printed", "stdout")]
    assert (await run(tmp_path, "", runtime)).result == "no package"


async def test_a_package_that_is_not_to_be_had_is_said_by_uv(tmp_path: Path) -> None:
    settings = SETTINGS.format(
        name="python", uv=find_uv_bin(), folder=tmp_path, python=sys.executable
    )
    (tmp_path / "pyproject.toml").write_text(settings, "utf-8")
    (tmp_path / "wheels").mkdir()
    report = await run(tmp_path, '"nq-test-greeting"')
    assert "exited with code 1" in str(report.error)
    assert "nq-test-greeting" in getattr(report.error, "stderr_tail", "")
