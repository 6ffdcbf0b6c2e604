from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = ("nq-config", 'config = {"flow": {"name": "demo", "role": "entry"}}')
HANDLER = ("nq-handler", "async def handler(job, ctx):\n    return job")


@pytest.fixture
def write_notebook(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a notebook of `(tag, source)` cells and returns its path.

    A config and a handler cell stand around the cells unless `bare` is true.
    """

    def write(*cells: tuple[str, str], name: str = "job.ipynb", bare: bool = False) -> Path:
        chosen = cells if bare else (CONFIG, *cells, HANDLER)
        made: list[dict[str, Any]] = [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {"tags": [tag] if tag else []},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for number, (tag, source) in enumerate(chosen, 1)
        ]
        document = {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
        return path

    return write
