"""What the values of JavaScript become, type by type: converted by Node itself, in one process."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VALUES = ROOT / "nuxt_queue" / "runner" / "node" / "values.mjs"
PAGE = (ROOT / "docs" / "node.md").read_text("utf-8")
ROWS = re.findall(r"^\| .*?\| `(.+?)` \| (?:`(.+?)`|refused: (.+?)) \|$", PAGE, re.MULTILINE)

# What the page does not list: the expression, and its JSON or what is said of it.
FURTHER = {
    "new Number(NaN)": "is NaN",
    "({ a: [new Number(1), new String('b')] })": '{"a":[1,"b"]}',
    "Object.assign(new Number(3), { valueOf: () => 4 })": "3",
    "new (class N extends Number {})(5)": "5",
    "new BigInt64Array([1n])": "is the bigint 1n",
    "new Uint8ClampedArray([1])": "[1]",
    "new DataView(new ArrayBuffer(2), 1)": '"AA=="',
    "new Set([new Map([['a', new Set([1])]])])": '[{"a":[1]}]',
    "Object.assign(new Set([1]), { unit: 'm' })": "has properties beside its items (unit)",
    "Object.assign(new Map(), { unit: 'm' })": "has properties beside its items (unit)",
    "Object.assign([1, 2], { unit: 'm' })": "has properties beside its items (unit)",
    "(function () { return arguments })(1, 2)": "[1,2]",
    "(function* () { yield 1 })()": "is a generator",
    "[1].values()": "without properties of its own",
    "new Set().values()": "is an iterator",
    "new WeakSet()": "is of type WeakSet",
    "new WeakRef({})": "is of type WeakRef",
    "new AbortController().signal": "is of type AbortSignal",
    "new Blob(['a'])": "is of type Blob",
    "new FormData()": "is of type FormData",
    "new Response('a')": "is of type Response",
    "new TextEncoder()": "is of type TextEncoder",
    "new Intl.NumberFormat()": "is of type NumberFormat",
    "new (class Empty {})()": "is of type Empty",
    "new (class Hidden { #x = 1 })()": "is of type Hidden",
    "Object.create({ inherited: 1 })": "without properties of its own",
    "Object.create(null)": "{}",
    "({})": "{}",
    "[]": "[]",
    "({ get a() { return 1 } })": '{"a":1}',
    "new Proxy({ a: 1 }, {})": '{"a":1}',
    "new Proxy([1, 2], {})": "[1,2]",
    "new DOMException('x')": "is an error",
    "new AggregateError([])": "is an error",
    "import('node:vm').then((vm) => vm.runInNewContext('({ a: [1], e: {} })'))": '{"a":[1],"e":{}}',
    "import('node:vm').then((vm) => vm.runInNewContext('new Map([[\"a\", 1]])'))": '{"a":1}',
    "import('node:vm').then((vm) => vm.runInNewContext('new Error()'))": "is an error",
    "import('node:vm').then((vm) => vm.runInNewContext('new Date(NaN)'))": "is an invalid date",
    "undefined": "is undefined",
    "null": "null",
    "Object.defineProperty({ a: 1 }, 'b', { value: 2 })": '{"a":1}',
    "JSON.parse('{\"__proto__\": 1}')": '{"__proto__":1}',
}
EXPECTED = {**{row[0]: row[1] or row[2] for row in ROWS}, **FURTHER}

SCRIPT = """
import { toJson } from %s
const found = {}
for (const text of JSON.parse(process.argv[1])) {
  let value = (0, eval)(`(${text})`)
  if (text.startsWith('import(')) value = await value
  try {
    found[text] = JSON.stringify(toJson([value], 'result')[0])
  } catch (error) {
    found[text] = error.name === 'ValuePathError' ? `${error.message}` : `broken: ${error.stack}`
  }
}
console.log(JSON.stringify(found))
"""


@cache
def outcomes() -> dict[str, str]:
    done = subprocess.run(
        ["node", "--no-warnings", "--input-type=module", "-e", SCRIPT % json.dumps(str(VALUES)),
         json.dumps(list(EXPECTED))],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("text", EXPECTED, ids=range(len(EXPECTED)))
def test_a_value_has_the_form_that_is_documented_or_is_refused_with_its_place(text: str) -> None:
    found, expected = outcomes()[text], EXPECTED[text]
    if found.startswith("result"):
        assert re.match(r"result\[0\](\[\d+\]|\.\w+)* (is|has|holds) ", found), found
        assert expected in found
    else:
        assert found == expected


def test_no_row_of_the_page_goes_unchecked() -> None:
    table = PAGE.partition("| value | for example | becomes |")[2].partition("\n\n")[0]
    assert len(ROWS) == len(table.splitlines()) - 2
