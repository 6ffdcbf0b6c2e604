"""What an exported cell may hold: the config, the handler, nothing to wait for, no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbtools.errors import ExportError
from nbtools.exporter import export_notebook

Write = Callable[..., Path]
CONFIG = ("nq-config", 'config = {"queue": "job"}')
HANDLER = ("nq-handler", "async def handler(job, ctx):\n    return job")


def _codes(caught: pytest.ExceptionInfo[ExportError]) -> list[tuple[str, int, int]]:
    return [(d.code, d.cell, d.line) for d in caught.value.diagnostics if not d.is_warning]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import asyncio\nawait asyncio.sleep(0)", 2),
        ("import asyncio\n\nasyncio.run(asyncio.sleep(0))", 3),
        ("import asyncio\nx = [await asyncio.sleep(0)]", 2),
        ("import anyio\nanyio.run(print)", 2),
        ("import asyncio\nloop = asyncio.new_event_loop()\nloop.run_until_complete(None)", 3),
        ("if True:\n    async with open: pass", 2),
        ("async for x in []: pass", 1),
        ("x = [y async for y in []]", 1),
        ("def f(x=await open): ...", 1),
        ("@(await open)\ndef f(): ...", 1),
    ],
)
def test_what_waits_at_the_top_level_is_refused_with_cell_and_line(
    source: str, line: int, write_notebook: Write
) -> None:
    """R6: and the message says to move it into the handler."""
    with pytest.raises(ExportError, match="move it into the handler") as caught:
        export_notebook(write_notebook(("nq-export", source)))
    assert ("NQ204", 2, line) in _codes(caught)


def test_functions_that_wait_are_kept_as_they_are(write_notebook: Write) -> None:
    """R6."""
    source = (
        "import asyncio\n\n\nasync def f():\n    async with a: await asyncio.sleep(0)\n\n\n"
        "def g():\n    return asyncio.run(f())\n\n\nh = (x async for x in f())\na = None"
    )
    exported = export_notebook(write_notebook(("nq-export", source)))
    assert source in exported.text
    assert not exported.warnings


STATED: dict[str, Any] = {
    'config = {"queue": "a"}': "a",
    "config = dict": None,
    'config = define_config({"queue": "a"})': "a",
    'config = define_config(queue="a")': "a",
    'config: dict = {"queue": "a"}': "a",
    'config = {"queue": NAME}': "of-parameters",
    'config = {**BASE, "queue": f"{NAME}-{1 + 1}"}': "of-parameters-2",
    'config = {"queue": NAME + "-x"}': "of-parameters-x",
    'config = {"queue": {"name": "a", "defaultJobOptions": {"attempts": 2 * 3}}}': "a",
    'config = {"queue": open("canary", "w").name}': None,
    'config = {"queue": NAME.upper()}': None,
    'config = {"queue": {"a", "b"}}': None,
    'config = {"queue": "a", "timeout": float("inf")}': None,
    'config = {"queue": "a", "timeout": 1e999}': None,
    'config = {"queue": b"a"}': None,
    'config = {1: "a"}': None,
    'config = {"queue": [x for x in "a"][0]}': None,
    'config = {"queue": "a" if NAME else "b"}': None,
    'config = {"queue": UNKNOWN}': None,
    'config = ["a"]': None,
    'config = {"queue": "a", "concurrency": 0}': None,
    'config = {"quue": "a"}': None,
}


@pytest.mark.parametrize("stated", STATED)
def test_a_config_is_read_from_its_syntax_or_refused(
    stated: str, write_notebook: Write, tmp_path: Path
) -> None:
    """R10: a literal, constants of the parameters cell, nothing that JSON cannot hold."""
    notebook = write_notebook(
        ("parameters", "NAME = 'of-parameters'\nBASE = {'concurrency': 2}"),
        ("nq-config", f"from nuxt_queue import define_config\n{stated}"),
        HANDLER,
        bare=True,
    )
    queue = STATED[stated]
    if queue is None:
        with pytest.raises(ExportError) as caught:
            export_notebook(notebook)
        assert {(code, cell) for code, cell, _ in _codes(caught)} <= {
            ("NQ303", 2),
            ("NQ304", 2),
            ("NQ206", 2),
        }
    else:
        exported = export_notebook(notebook)
        assert exported.config["queue"]["name"] == queue
        text = exported.text.partition("\nconfig = ")[2].partition("\n}\n")[0] + "\n}"
        assert json.dumps(exported.config) == json.dumps(eval(text, {"__builtins__": {}}))
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ((CONFIG, HANDLER), ""),
        ((CONFIG, ("nq-handler", "def handler(job, ctx): ...")), ""),
        ((CONFIG, ("nq-handler", "def handler(job, ctx, extra=1): ...")), ""),
        ((CONFIG, ("nq-handler", "async def handler(*args): ...")), ""),
        ((CONFIG, HANDLER, HANDLER), "NQ312"),
        ((CONFIG, CONFIG, HANDLER), "NQ302"),
        ((CONFIG, HANDLER, ("nq-export", "def handler(job, ctx): ...")), "NQ312"),
        ((CONFIG, HANDLER, ("nq-export", "handler = None")), "NQ312"),
        ((CONFIG, HANDLER, ("nq-export", "config = {}")), "NQ302"),
        ((CONFIG, ("nq-handler", "def handler(job): ...")), "NQ313"),
        ((CONFIG, ("nq-handler", "def handler(job, ctx, more): ...")), "NQ313"),
        ((CONFIG, ("nq-handler", "def handler(job, ctx): yield 1")), "NQ313"),
        ((CONFIG, ("nq-handler", "def other(job, ctx): ...")), "NQ311"),
        ((HANDLER,), "NQ301"),
        ((CONFIG,), "NQ311"),
    ],
)
def test_there_is_one_config_and_one_handler_that_can_be_called(
    cells: tuple[tuple[str, str], ...], code: str, write_notebook: Write
) -> None:
    """R11: redefinitions name both cells."""
    notebook = write_notebook(*cells, bare=True)
    if not code:
        assert export_notebook(notebook).handler == "handler"
        return
    with pytest.raises(ExportError) as caught:
        export_notebook(notebook)
    assert [each for each, _, _ in _codes(caught)] == [code]
    if code in {"NQ312", "NQ302"}:
        assert caught.value.diagnostics[0].cell == len(cells) - (cells[1] == CONFIG)
        assert "cell " in caught.value.diagnostics[0].message


def test_outputs_and_text_never_reach_the_file(write_notebook: Write) -> None:
    """R22: a notebook with outputs, attachments and text makes the same bytes as one without."""
    path = write_notebook(CONFIG, HANDLER, bare=True)
    bare = export_notebook(path).text
    document = json.loads(path.read_text())
    for cell in document["cells"]:
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "SECRET"}]
        cell["attachments"] = {"SECRET.png": {"image/png": "SECRET"}}
    text = {"cell_type": "markdown", "metadata": {}, "source": "SECRET"}
    document["cells"].append(text)
    path.write_text(json.dumps(document))
    assert export_notebook(path).text == bare


def test_parameters_that_papermill_injected_are_refused(write_notebook: Write) -> None:
    """R22."""
    with pytest.raises(ExportError, match="NQ104"):
        export_notebook(write_notebook(("injected-parameters", "TOKEN = 'x'")))


# Put together here, so that this file holds none.
SECRETS = (
    'KEY = "' + "AKIA" + 'IOSFODNN7EXAMPLE"',
    'aws_secret_access_key = "' + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" + '"',
    "token = '" + "ghp_" + "a1" * 18 + "'",
    'headers = {"Authorization": "token ' + "github_pat_" + "a" * 40 + '"}',
    "slack = '" + "xoxb-" + "123456789012-abc'",
    'openai.api_key = "' + "sk-" + "a1b2" * 12 + '"',
    'stripe = "' + "sk_live_" + "a1b2c3" * 5 + '"',
    "google = '" + "AIza" + "Sy" * 17 + "a'",
    'login(token="' + "hf_" + "ab" * 17 + '")',
    'PEM = "' + "-----BEGIN RSA " + 'PRIVATE KEY-----"',
    "jwt = '" + "eyJhbGciOiJIUzI1NiIsInR5cCI6" + "." + "eyJzdWIiOiIxMjM0NTY3ODkw" + ".x'",
    'url = "postgres://app:' + 'hunter22@db/main"',
    "password = 'correct-horse'",
    'connect(user="me", passwd="tr0ub4dor&3")',
    'settings = {"api_key": "b7f3c2d19e8a4f60"}',
    "DB_PASSWORD: str = 'tr0ub4dor&3'".replace(": str =", " ="),
    "os.environ['CLIENT_SECRET'] = 'b7f3c2d19e8a4f60'",
)
INNOCENT = (
    "password = os.environ['PASSWORD']",
    "password = getpass('password: ')",
    'password = ""',
    "password = 'your-password'",
    'api_key = "<your key>"',
    'api_key = "xxxxxxxxxxxx"',
    'SECRET = "********"',
    'secret_name = "projects/a/secrets/b"',
    'secretary = "Margaret Hamilton"',
    "token = tokenizer('a text of some length')",
    'password_field = "input[name=password]"',
    'url = "https://example.org:8080/path@v2"',
    'url = f"postgres://{user}:{password}@db/main"',
    'url = "postgres://user:$PASSWORD@db/main"',
    'print("wrong password: try again, please")',
    'help = "the api key: see the handbook"',
    'sha = "da39a3ee5e6b4b0d3255bfef95601890afd80709"',
    'name = "task-runner-for-all-the-night-jobs-of-the-house"',
    'columns = ["password", "secret", "api_key"]',
    "api_key: str = ''",
)


@pytest.mark.parametrize("source", SECRETS)
def test_an_obvious_secret_is_warned_about(source: str, write_notebook: Write) -> None:
    """R22: all of these, and the export goes on."""
    names = "import os, openai\ndef login(token): ...\ndef connect(user, passwd): ...\n"
    warnings = export_notebook(write_notebook(("nq-export", names + source))).warnings
    assert [(each.code, each.line) for each in warnings if each.code == "NQ215"] == [("NQ215", 4)]


@pytest.mark.parametrize("source", INNOCENT)
def test_what_only_looks_like_a_secret_is_not(source: str, write_notebook: Write) -> None:
    """R22: none of these."""
    names = "import os\nuser = password = tokenizer = getpass = str\n"
    warnings = export_notebook(write_notebook(("nq-export", names + source))).warnings
    assert "NQ215" not in {each.code for each in warnings}
