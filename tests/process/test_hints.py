"""What was there in a notebook and is not there in a worker: the failure says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from nuxt_queue.errors import HandlerError
from tests.process.conftest import Host

VARIABLE = (
    'set API_KEY for the host, and add it to the config: "worker": {"env_passthrough": ["API_KEY"]}'
)
FILE = "data.csv is a relative path, looked up in the worker's directory {folder}: put the file"
PROGRAM = "programs are looked up in the worker's PATH: /"

FAILURES: dict[str, tuple[str, str | None]] = {
    "a variable": ("os.environ['API_KEY']", VARIABLE),
    "a variable as bytes": ("os.environb[b'API_KEY']", VARIABLE),
    "a variable behind an error of one's own": (
        ("try: os.environ['API_KEY']\n"
        "    except KeyError as error: raise RuntimeError('no key') from error"),
        VARIABLE,
    ),
    "a key of a dict": ("{}['API_KEY']", None),
    "a file": ("open('data.csv')", FILE),
    "a file by its Path": ("pathlib.Path('data.csv').read_text()", FILE),
    "a file that pandas reads": ("import pandas; pandas.read_csv('data.csv')", FILE),
    "a full path": ("open('/no/such/data.csv')", None),
    "a program": ("subprocess.run(['no-such-program'])", PROGRAM),
    "a removed directory": ("os.mkdir('x'); os.chdir('x'); os.rmdir('../x'); open('data.csv')",
        "data.csv is a relative path, looked up in the worker's directory (which was removed)"),
}  # fmt: skip


async def hint_of(host: Host, file: str, text: str, **options: Any) -> str | None:
    worker = host.folder / file
    worker.write_text(text)
    with pytest.raises(HandlerError) as failure:
        await host.run(worker, **options)
    hint: str | None = failure.value.data.get("hint")
    return hint


def says(hint: str | None, expected: str | None, host: Host) -> bool:
    if expected is None:
        return hint is None
    return expected.replace("{folder}", str(host.folder)) in str(hint)


@pytest.mark.parametrize(("code", "expected"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_says_where_a_worker_looks(
    host: Host, code: str, expected: str | None
) -> None:
    text = f"import os, pathlib, subprocess\ndef handler(job, ctx):\n    {code}\n"
    hint = await hint_of(host, "worker.py", text)
    assert says(hint, expected, host), hint


async def test_a_variable_that_is_missing_while_the_file_is_imported_is_named_too(
    host: Host,
) -> None:
    text = "import os\nKEY = os.environ['API_KEY']\ndef handler(job, ctx): return KEY\n"
    assert VARIABLE in str(await hint_of(host, "worker.py", text))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("fs.readFileSync('data.csv')", FILE),
        ("await fs.promises.readFile('data.csv')", FILE),
        ("fs.readFileSync('/no/such/data.csv')", None),
        ("child.execFileSync('no-such-program')", PROGRAM),
    ],
)
async def test_a_failure_of_node_says_where_a_worker_looks(
    host: Host, code: str, expected: str | None
) -> None:
    text = (
        "import child from 'node:child_process'\nimport fs from 'node:fs'\n"
        f"export default async () => {{ {code} }}\n"
    )
    hint = await hint_of(host, "worker.mjs", text, runtime="node-isolated")
    assert says(hint, expected, host), hint
