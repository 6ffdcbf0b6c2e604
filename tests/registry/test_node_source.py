"""What a worker file of JavaScript or TypeScript says, read without Node and without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import WorkerLoadError
from nuxt_queue.registry.node import NodeSource, read_node_source

HANDLER = "export default defineQueueWorker(async (job, ctx) => 1)\n"


def read(folder: Path, source: str, name: str = "w.ts") -> NodeSource:
    """Read a worker file that holds `source`."""
    path = folder / name
    path.write_text(source, "utf-8")
    return read_node_source(path)


def refusal(folder: Path, source: str, name: str = "w.ts") -> str:
    """Return why a file is no worker, without its path."""
    with pytest.raises(WorkerLoadError) as caught:
        read(folder, source, name)
    return str(caught.value).removeprefix(str(folder / name))


VALUES: list[tuple[str, Any]] = [
    ("'text'", "text"),
    ('"a\\n\\t\\\\\\"\\u0041\\x42\\u{1F600}\\\nb"', 'a\n\t\\"AB😀b'),
    ("`a${n}b${'c'}${true}`", "a5bctrue"),
    ("'é😀'", "é😀"),
    ("1", 1),
    ("1_000", 1000),
    ("0x1F", 31),
    ("0b11 + 0o17", 18),
    ("1e3", 1000),
    (".5", 0.5),
    ("1.0", 1),
    ("-1.5", -1.5),
    ("+n", 5),
    ("10 * 60 * 1000", 600_000),
    ("(n - 1) * 2", 8),
    ("'a' + 'b'", "ab"),
    ("true", True),
    ("null", None),
    ("[1, 'a', [], ...list, ]", [1, "a", [], 1, 2]),
    (
        "{ a: 1, 'b c': 2, 3: 3, ['d' + 'e']: 4, n, ...more }",
        {"a": 1, "b c": 2, "3": 3, "de": 4, "n": 5, "m": 1},
    ),
    ("{ a: { b: [{ c: null }] } }", {"a": {"b": [{"c": None}]}}),
    ("{ gone: undefined, stays: 1 }", {"stays": 1}),
    ("{ ...more, m: undefined }", {}),
    ("more.m", 1),
    ("more['m'] + list[1]", 3),
    ("n as number", 5),
    ("<number>n", 5),
    ("more!.m", 1),
    ("({ a: 1 } satisfies X) as const", {"a": 1}),
    ("/* before */ n /* after */", 5),
    ("Object.freeze({ a: 1 })", {"a": 1}),
    ("defineQueueConfig({ a: 1 })", {"a": 1}),
]


@pytest.mark.parametrize(("expression", "value"), VALUES, ids=[v[0] for v in VALUES])
def test_a_literal_is_what_it_says(tmp_path: Path, expression: str, value: Any) -> None:
    known = "const n = 5\nconst list = [1, 2]\nconst more = { m: 1 }\n"
    source = f"{known}export const config = {{ v: {expression} }}\n{HANDLER}"
    got = read(tmp_path, source)
    assert got == NodeSource({"v": value}, 4)
    # 1 == 1.0 == True in Python, and not in JSON.
    assert json.dumps(got.config, sort_keys=True) == json.dumps({"v": value}, sort_keys=True)


FORMS = {
    "export const": "export const config = { a: 1 }\n",
    "defined": "export const config = defineQueueConfig({ a: 1 })\n",
    "the newer name": "export const config = defineFunctionConfig({ a: 1 })\n",
    "imported": (
        "import { defineQueueConfig as d } from '#imports'\nexport const config = d({ a: 1 })\n"
    ),
    "typed": "export const config: QueueConfig = { a: 1 } as const\n",
    "let": "export let config = { a: 1 }\n",
    "exported later": "const config = { a: 1 }\nexport { config }\n",
    "renamed": "const mine = { a: 1 }\nexport { mine as config, type Other }\n",
    "the last": "exports.config = { b: 1 }\nexports.config = { a: 1 }\n",
    "by exports": "exports.config = defineQueueConfig({ a: 1 })\n",
    "by module.exports": "module.exports.config = { a: 1 }\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_config_may_be_exported_in_many_ways(tmp_path: Path, form: str) -> None:
    assert read(tmp_path, FORMS[form] + HANDLER).config == {"a": 1}


DEFAULTS = [
    "export default defineQueueWorker(async (job, ctx) => {})",
    "export default defineQueueWorker<In, Out>(async (job): Promise<Out> => work(job))",
    "export default defineFunction(async (input, ctx) => {})",
    "export default async (job) => job",
    "export default async function handler(job, ctx) {}",
    "export default function (job) {}",
    "const handler = () => {}\nexport default handler",
    "function handler() {}\nexport { handler as default }",
    "export { default } from './other'",
    "export { run as default } from './other'",
    "import { run } from './other'\nexport default run satisfies Handler",
    "export default wrap({ retries: 3 }, run)",
    "module.exports = (job) => job",
    "module.exports = defineQueueWorker(run)",
    "exports.default = run",
    "import run = require('./run')\nexport = run",
]


@pytest.mark.parametrize("source", DEFAULTS)
def test_a_handler_may_be_exported_in_many_ways(tmp_path: Path, source: str) -> None:
    """A worker without a config is one with the defaults, as for the host."""
    assert read(tmp_path, source) == NodeSource({}, None)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("w.js", "export default (job) => <b>{job.data}</b>"),
        ("w.cjs", "#!/usr/bin/env node\n'use strict'\nmodule.exports = (job) => job"),
        ("w.mjs", "import data from './a.json' with { type: 'json' }\nexport default () => data"),
        ("w.ts", "export default async () => { await using f = open(); enum A { B } }"),
        ("w.mts", "@dec class A<const T> { accessor x = 1 }\nexport default () => new A()"),
        ("w.ts", "\ufeffexport default () => 1"),
    ],
)
def test_each_language_is_read_in_its_own_grammar(tmp_path: Path, name: str, source: str) -> None:
    read(tmp_path, source, name)


NO_HANDLER = (
    ": has no default export; write `export default defineQueueWorker(async (job, ctx) => …)`, or"
    " move a file that is no worker into a folder whose name begins with a dot"
)
HAS_TO_RUN = "config cannot be read without running the file: "
REFUSED: list[tuple[str, str]] = [
    ("", NO_HANDLER),
    ("export const help = 1", NO_HANDLER),
    ("export default interface A {}", NO_HANDLER),
    ("export default { a: 1 }", ":1: its handler is an object and no function (job, ctx)"),
    ("\nexport default [1]", ":2: its handler is an array and no function (job, ctx)"),
    ("export default 'text'", ":1: its handler is a string and no function (job, ctx)"),
    ("export default class A {}", ":1: its handler is a class and no function (job, ctx)"),
    (
        "const a = { b: 1 }\n\nexport default a",
        ":1: its handler `a` is data and no function (job, ctx)",
    ),
    (
        "export default defineQueueWorker({ name: 'x' }, run)",
        ":1: its handler is an object and no function (job, ctx)",
    ),
    ("let a = ;\n" + HANDLER, ":1: SyntaxError: this cannot be parsed"),
    (HANDLER + "\nfunction f( {", ":3: SyntaxError: this cannot be parsed"),
    ("export const config = 5\n" + HANDLER, ":1: config is no object; write one"),
    ("export const config = [1]\n" + HANDLER, ":1: config is no object; write one"),
    (
        "export const config = load()\n" + HANDLER,
        f":1: {HAS_TO_RUN}`load()` has to run; write it out",
    ),
    (
        "export const config = {\n  queue: process.env.QUEUE,\n}\n" + HANDLER,
        f":2: {HAS_TO_RUN}`process` has no value above this line; write it out",
    ),
    (
        "export const config = { timeout: unknown * 2 }\n" + HANDLER,
        f":1: {HAS_TO_RUN}`unknown` has no value above this line; write it out",
    ),
    (
        "export const config = { run() {} }\n" + HANDLER,
        f":1: {HAS_TO_RUN}`run() {{}}` is code, and a config holds data; write it out",
    ),
    (
        "export const config = { a: () => 1 }\n" + HANDLER,
        f":1: {HAS_TO_RUN}`() => 1` has to run; write it out",
    ),
    (
        "export const config = { a: 1n }\n" + HANDLER,
        f":1: {HAS_TO_RUN}`1n` is no number that JSON has; write it out",
    ),
    (
        "export const config = { a: [undefined] }\n" + HANDLER,
        f":1: {HAS_TO_RUN}`undefined` is no item that JSON has; use null; write it out",
    ),
    (
        "export const config = { a: 1 }\nconfig.a = compute()\n" + HANDLER,
        f":2: {HAS_TO_RUN}`config` is changed by a statement that has to run; write it out",
    ),
    (
        "export const config = { a: [] }\nconfig.a.push(1)\n" + HANDLER,
        f":2: {HAS_TO_RUN}`config` is changed by a statement that has to run; write it out",
    ),
    (
        "export const config = { a: 1 }\nObject.assign(config, other)\n" + HANDLER,
        f":2: {HAS_TO_RUN}`config` is changed by a statement that has to run; write it out",
    ),
    (
        "export const config = { a: 1 }\ndelete config.a\n" + HANDLER,
        f":2: {HAS_TO_RUN}`config` is changed by a statement that has to run; write it out",
    ),
    (
        "export { config } from './config'\n" + HANDLER,
        f":1: {HAS_TO_RUN}`config` comes from another file; write it out",
    ),
    (
        "import { config } from './config'\nexport { config }\n" + HANDLER,
        f":2: {HAS_TO_RUN}`config` has no value at the top level; write it out",
    ),
]


@pytest.mark.parametrize(("source", "reason"), REFUSED, ids=[r[0][:40] for r in REFUSED])
def test_what_cannot_be_a_worker_is_refused_with_line_and_reason(
    tmp_path: Path, source: str, reason: str
) -> None:
    """Faults 92."""
    assert refusal(tmp_path, source) == reason


def test_a_config_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    lines = ["const a0 = [1, 2]", *(f"const a{n + 1} = [...a{n}, ...a{n}]" for n in range(30))]
    source = "\n".join([*lines, "export const config = { a: a30 }", HANDLER])
    assert "it grows beyond 1000000 items" in refusal(tmp_path, source)


def test_a_config_nested_beyond_reason_is_refused(tmp_path: Path) -> None:
    source = f"export const config = {'[' * 5000}{']' * 5000}\n{HANDLER}"
    assert "the expression is nested too deeply" in refusal(tmp_path, source)


def test_a_file_that_is_no_text_is_refused_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "w.mjs"
    path.write_bytes(b"// a\n// \xff\n")
    with pytest.raises(WorkerLoadError) as caught:
        read_node_source(path)
    assert str(caught.value) == f"{path}:2: is not UTF-8: invalid start byte"


def test_nothing_of_a_file_runs(tmp_path: Path) -> None:
    """It could not: no Node is started."""
    canary = tmp_path / "canary"
    write = f"require('fs').writeFileSync({json.dumps(str(canary))}, '')"
    read(tmp_path, f"{write}\nexport const config = {{ a: 1 }}\n{HANDLER}")
    assert not canary.exists()
