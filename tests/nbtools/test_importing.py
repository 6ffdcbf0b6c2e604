"""What a worker does while it is imported is warned about (exporter R9)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbtools import cli
from nbtools.errors import ExportError
from nbtools.exporter import export_notebook

Write = Callable[..., Path]

WARNED = {
    "print('ready')": "calls print()",
    "import pandas as pd\ndf = pd.read_csv('x.csv')": "calls pd.read_csv()",
    "import matplotlib.pyplot as plt\nplt.plot([1])": "calls plt.plot()",
    "from sklearn.svm import SVC\nmodel = SVC().fit([[1]], [1])": "calls ….fit()",
    "def main(): ...\n\nmain()": "calls main()",
    "def step(i): ...\n\nfor i in range(10):\n    step(i)": "runs a loop",
    "n = 5\nwhile n:\n    n -= 1": "runs a loop",
    "with open('x') as file:\n    TEXT = file.read()": "calls open()",
    "import requests\nRATES = requests.get('https://example.org').json()": "calls requests.get()",
    "import os\nif os.name == 'posix':\n    print('posix')": "calls print()",
    "try:\n    print('x')\nexcept OSError:\n    pass": "calls print()",
    "import time\ntime.sleep(1)": "calls time.sleep()",
    "x = [1]\nx[0].bit_length() + 1": "shows a value",
    "import subprocess\nNAME = subprocess.run(['hostname'])": "calls subprocess.run()",
}
SILENT = (
    '"""A docstring."""\n...',
    "import re, logging\nWORD = re.compile('x')\nLOG = logging.getLogger('x')",
    "import warnings\nwarnings.filterwarnings('ignore')",
    "import logging\nlogging.basicConfig(level=10)",
    "import random\nrandom.seed(1)",
    "import numpy as np\nGRID = np.arange(6).reshape(2, 3)",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    x: int = field()",
    "from pathlib import Path\nHERE = Path('.').resolve()",
    "TABLE = {}\nfor i in range(10):\n    TABLE[i] = i * i",
    "NAMES = []\nfor name in ('a', 'b'):\n    NAMES.append(name)",
    "def load():\n    print('x')\n    return open('x')",
    "later = lambda: print('x')",
    "PAIRS = [(i, len(str(i))) for i in range(10)]",
    "import os\nHOME = os.environ.get('HOME', '')",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    print('never')",
    "from functools import cache\n@cache\ndef f(n): return n",
    "lines = (line for line in open)",
)


@pytest.mark.parametrize("source", WARNED)
def test_what_happens_at_import_is_warned_about_with_its_line(
    source: str, write_notebook: Write
) -> None:
    """R9: a call, a print, a plot, a loop, a file or a service at the top level."""
    (warning,) = export_notebook(write_notebook(("nq-export", source))).warnings
    assert warning.code == "NQ217"
    assert warning.message.startswith(f"{WARNED[source]} while the file is imported")
    assert warning.cell == 2
    assert warning.line >= 1


@pytest.mark.parametrize("source", SILENT)
def test_setting_something_up_is_what_importing_is_for(source: str, write_notebook: Write) -> None:
    """R9: no false alarm."""
    assert not export_notebook(write_notebook(("nq-export", source))).warnings


def test_strict_lets_a_warning_stop_the_export(
    write_notebook: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """R9: `--strict`."""
    notebook = write_notebook(("nq-export", "print('ready')"))
    with pytest.raises(ExportError, match="NQ217 calls print"):
        export_notebook(notebook, strict=True)
    assert cli.main(["--strict", str(notebook)]) == 1
    assert ", cell 2, line 1: NQ217 calls print() while" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.py"))
    assert cli.main([str(notebook)]) == 0


def test_a_line_that_is_wrong_is_not_warned_about_as_well(write_notebook: Write) -> None:
    with pytest.raises(ExportError) as caught:
        export_notebook(write_notebook(("nq-export", "display(1)")))
    assert [finding.code for finding in caught.value.diagnostics] == ["NQ206"]
