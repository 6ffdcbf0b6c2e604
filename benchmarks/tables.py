"""What a table costs as a value, beside the plain way: `to_dict(orient="records")` and `json`.

Both ways end with rows that were read from a JSON text.  The plain way keeps NaN, which is not
JSON, and does not know times; it is given neither.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from paired import medians, report

from nbtools.emulator.context import LocalRunContext
from nuxt_queue.rpc.codec import decode, encode
from nuxt_queue.rpc.values import to_json

ROWS, COLUMNS = 100_000, 10
ROUNDS = 7
TARGET = 1.2


def main() -> None:
    """Measure each table both ways, and as state of a handler in a notebook."""
    for name, frame in tables().items():
        ctx = LocalRunContext()
        sides = {
            "plain": lambda frame=frame: plain(frame),
            "value": lambda frame=frame: value(frame),
            "ctx.state.set": lambda frame=frame, ctx=ctx: ctx.state.set("table", frame),
        }
        found = medians(sides, rounds=ROUNDS)
        targets = dict.fromkeys(("value", "ctx.state.set"), ("plain", TARGET))
        report(f"a table of {ROWS:,} x {COLUMNS}: {name}", found, targets)


def tables() -> dict[str, pd.DataFrame]:
    """Return tables of the kinds of columns that users have."""
    random = np.random.default_rng(0)
    names = [f"column_{i}" for i in range(COLUMNS)]
    floats = random.random((ROWS, COLUMNS))
    kinds = (
        random.random(ROWS),
        random.integers(0, 1000, ROWS),
        random.choice(["a", "b"], ROWS),
    )
    mixed: dict[str, Any] = {name: kinds[i % 3] for i, name in enumerate(names)}
    return {
        "floats": pd.DataFrame(floats, columns=names),
        "floats, integers and text": pd.DataFrame(mixed),
    }


def plain(frame: pd.DataFrame) -> Any:
    """Do as a user does without the kit."""
    return json.loads(json.dumps(frame.to_dict(orient="records")))


def value(frame: pd.DataFrame) -> Any:
    """Convert a result, write it and read it."""
    return decode(encode(to_json(frame, "result")))


if __name__ == "__main__":
    main()
