"""What a worker needs is stated in the file (exporter R23)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from nbtools import cli, export_notebook
from nbtools.errors import ExportError
from nbtools.exporter import where_in
from nbtools.exporter.packages import Installed, canonical
from nuxt_queue.registry import scan

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
# The expression of PEP 723 itself.
_REFERENCE = r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$"
PYTHON = f">={sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _block(text: str) -> dict[str, Any] | None:
    """Read the block of a file as the specification says it is read."""
    found = list(re.finditer(_REFERENCE, text))
    if not found:
        return None
    assert len(found) == 1
    lines = found[0]["content"].splitlines(keepends=True)
    return tomllib.loads("".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))


def _needs(*cells: tuple[str, str], write: Write) -> list[str]:
    block = _block(export_notebook(write(*cells)).text)
    return block["dependencies"] if block else []


def _pinned(*names: str) -> list[str]:
    return [f"{name}=={metadata.version(name)}" for name in names]


def test_each_import_becomes_the_package_that_it_comes_from(write_notebook: Write) -> None:
    source = (
        "import yaml, os\nfrom sklearn.linear_model import LinearRegression\nimport numpy as np\n"
        "from dateutil import parser\nimport nuxt_queue\n"
        "def late():\n    import PIL.Image\n    import numpy.linalg"
    )
    exported = export_notebook(write_notebook(("nq-imports", source)))
    assert exported.warnings == ()
    assert _block(exported.text) == {
        "requires-python": PYTHON,
        "dependencies": _pinned("numpy", "pillow", "python-dateutil", "PyYAML", "scikit-learn"),
    }


def test_a_worker_of_the_standard_library_states_nothing(write_notebook: Write) -> None:
    text = export_notebook(write_notebook(("nq-imports", "import os, asyncio, xml.dom"))).text
    assert "# ///" not in text
    assert not _needs(("", "import numpy"), write=write_notebook)


def test_a_module_beside_the_notebook_is_no_dependency(write_notebook: Write) -> None:
    Path("sibling.py").touch()
    Path("numpy").mkdir()  # a folder that is no package
    path = write_notebook(("nq-imports", "import sibling, numpy"))
    block = _block(export_notebook(path, allow_local=True).text)
    assert block
    assert block["dependencies"] == _pinned("numpy")


def test_the_block_stands_first_and_changes_nothing_else(write_notebook: Write) -> None:
    """Discovery sees the config as the first statement, and lines find their way back."""
    path = write_notebook(("nq-imports", "from __future__ import annotations\nimport numpy"))
    text = export_notebook(path).text
    lines = text.split("\n")
    assert lines[3] == "# /// script"
    end = lines.index("# ///")
    assert all(line.startswith("#") for line in lines[: end + 1])
    assert lines[end + 1 : end + 3] == ["", "from __future__ import annotations"]
    place = where_in(text, lines.index("import numpy") + 1)
    assert place
    assert (place.cell, place.line) == (2, 2)
    assert where_in(text, 5) is None
    Path("workers").mkdir()
    Path("workers/job.py").write_text(text)
    (entry,) = scan("workers").entries
    assert entry.queue == "job"
    block, plain = text.partition("# ///\n\n")[2], export_notebook(path, deps=False).text
    assert block == plain.split("\n", 3)[3]


def test_pip_lines_say_versions_and_add_what_no_import_shows(write_notebook: Write) -> None:
    cells = (
        (
            "",
            "%pip install -q -U 'numpy>=2,<9' seaborn --index-url https://x.example/simple\nx = 1",
        ),
        ("", "!pip install 'pandas[excel]' ./local git+https://x.example/y {name}"),
        ("nq-imports", "%pip install openpyxl==3.1.5 Not_Installed_Here\nimport numpy, pandas"),
        ("nq-export", "TEXT = '''\n%pip install requests\n'''"),
    )
    assert _needs(*cells, write=write_notebook) == [
        "Not_Installed_Here",
        "numpy<9,>=2",
        "openpyxl==3.1.5",
        f"pandas[excel]=={metadata.version('pandas')}",
    ]


def test_a_module_that_is_not_installed_is_said_and_not_guessed(write_notebook: Write) -> None:
    path = write_notebook(("nq-imports", "import numpy\nimport nowhere_to_be_found.deep"))
    exported = export_notebook(path)
    (finding,) = exported.warnings
    assert (finding.code, finding.cell, finding.line) == ("NQ218", 2, 2)
    assert "nowhere" not in str(_block(exported.text))
    path = write_notebook(
        ("", "%pip install nowhere-to.be_found"), ("nq-imports", "import nowhere_to_be_found")
    )
    exported = export_notebook(path)
    assert exported.warnings == ()
    assert _block(exported.text) == {
        "requires-python": PYTHON,
        "dependencies": ["nowhere-to.be_found"],
    }


def _site(tmp_path: Path, name: str, version: str, *modules: str) -> Path:
    """Return a folder in which a package is installed."""
    site = tmp_path / f"site of {name}"
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 9 of the text\n"
    (info / "METADATA").write_text(head)
    for module in modules or (f"{name}.py",):
        path = site / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (info / "RECORD").write_text("".join(f"{each},,\n" for each in modules or (f"{name}.py",)))
    return site


def test_a_package_of_a_folder_of_this_machine_is_no_dependency(
    write_notebook: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = _site(tmp_path, "mine", "1.0")
    origin = '{"url": "file:///x", "dir_info": {"editable": true}}'
    (site / "mine-1.0.dist-info" / "direct_url.json").write_text(origin)
    monkeypatch.syspath_prepend(str(site))
    exported = export_notebook(write_notebook(("nq-imports", "import mine")))
    assert [finding.code for finding in exported.warnings] == ["NQ219"]
    assert _block(exported.text) is None


def test_a_namespace_belongs_to_the_package_that_has_the_module(
    write_notebook: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alpha", "beta"):
        site = _site(tmp_path, f"shared-{name}", "1", f"shared_space/{name}/__init__.py")
        monkeypatch.syspath_prepend(str(site))
    for source in ("import shared_space.beta.deep", "from shared_space import beta"):
        assert _needs(("nq-imports", source), write=write_notebook) == ["shared-beta==1"]
    source = "from shared_space import alpha, beta"
    assert _needs(("nq-imports", source), write=write_notebook) == [
        "shared-alpha==1",
        "shared-beta==1",
    ]


def test_the_package_that_python_would_import_is_the_one_that_counts(
    write_notebook: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.0", "2.0"):
        folder = tmp_path / version
        monkeypatch.syspath_prepend(str(_site(folder, "twice-there", version, "twice_there.py")))
    assert _needs(("nq-imports", "import twice_there"), write=write_notebook) == [
        "twice-there==2.0"
    ]


def test_each_package_that_is_installed_here_is_found_as_python_finds_it() -> None:
    installed = Installed()
    known = metadata.packages_distributions()
    assert len(known) > 50
    for module, names in known.items():
        files = map(str, metadata.files(names[0]) or [])
        is_listed = any(file.startswith((f"{module}/", f"{module}.")) for file in files)
        if module.isidentifier() and len(set(names)) == 1 and is_listed:
            package = installed.holder_of(module)
            assert package is not None, module
            assert canonical(package.name) == canonical(names[0])
            assert package.version == metadata.version(names[0])


def test_a_local_version_is_left_out_since_no_index_has_it(
    write_notebook: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(_site(tmp_path, "torchy", "2.5.0+cu124")))
    assert _needs(("nq-imports", "import torchy"), write=write_notebook) == ["torchy==2.5.0"]


STATED = '# /// script\n# dependencies = ["numpy>=1"]\n# ///'


def test_a_block_that_a_cell_states_is_kept_as_it_is(write_notebook: Write) -> None:
    path = write_notebook(("", STATED), ("nq-imports", "import pandas"))
    text = export_notebook(path).text
    assert _block(text) == {"dependencies": ["numpy>=1"]}
    assert text.split("\n")[3:6] == STATED.split("\n")
    path = write_notebook(("nq-imports", f"{STATED}\nimport pandas"))
    text = export_notebook(path).text
    assert _block(text) == {"dependencies": ["numpy>=1"]}
    assert text.split("\n")[3].startswith("# %% nq: config")


@pytest.mark.parametrize(
    ("source", "line"),
    [("x = 1\n# /// script\n# dependencies = [\n# ///", 2), (f"{STATED}\n\n{STATED}", 5)],
)
def test_a_block_that_is_wrong_is_refused_with_its_place(
    source: str, line: int, write_notebook: Write
) -> None:
    with pytest.raises(ExportError) as caught:
        export_notebook(write_notebook(("", source)))
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.cell, finding.line) == ("NQ220", 2, line)


def test_another_environment_makes_no_worker_stale_and_no_deps_states_none(
    write_notebook: Write, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R16, R18: the versions are an input; `--check` is about the cells."""
    write_notebook(("nq-imports", "import numpy"))
    worker = Path("job.py")
    assert cli.main(["job.ipynb"]) == 0
    first = worker.read_text()
    assert "numpy==" in first
    with monkeypatch.context() as elsewhere:
        elsewhere.syspath_prepend(str(_site(tmp_path, "numpy", "0.1")))
        os.utime(worker, ns=(1, 1))
        assert cli.main(["job.ipynb"]) == 0
        assert worker.stat().st_mtime_ns == 1
        assert cli.main(["--check", "--diff", "job.ipynb"]) == 0
        write_notebook(("nq-imports", "import numpy\nA = 1"))
        assert cli.main(["--check", "job.ipynb"]) == 1
        capsys.readouterr()
        assert cli.main(["job.ipynb"]) == 0
        assert '"numpy==0.1"' in worker.read_text()
    assert cli.main(["--no-deps", "job.ipynb"]) == 0
    assert "# ///" not in worker.read_text()
    assert cli.main(["--check", "job.ipynb"]) == 0
    assert cli.main(["job.ipynb"]) == 0
    assert "# ///" in worker.read_text()


def test_a_change_of_a_stated_block_makes_a_worker_stale(write_notebook: Write) -> None:
    write_notebook(("", STATED))
    assert cli.main(["job.ipynb"]) == 0
    assert cli.main(["--check", "job.ipynb"]) == 0
    write_notebook(("", STATED.replace(">=1", ">=2")))
    assert cli.main(["--check", "job.ipynb"]) == 1


def test_a_block_that_was_edited_by_hand_is_kept(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(("nq-imports", "import numpy"))
    cli.main(["job.ipynb"])
    text = Path("job.py").read_text().replace("numpy==", "numpy>=")
    Path("job.py").write_text(text)
    assert cli.main(["--check", "job.ipynb"]) == 1
    assert cli.main(["job.ipynb"]) == 1
    assert "NQ402 job.py was changed by hand" in capsys.readouterr().err
    assert Path("job.py").read_text() == text


def test_an_export_that_imports_nothing_of_others_asks_no_metadata(write_notebook: Write) -> None:
    """Exporter P5."""
    code = (
        "import sys; from nbtools.cli import main; main([sys.argv[1]]);"
        "print({'importlib.metadata', 'packaging', 'tomllib'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(write_notebook(("nq-imports", "import os")))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split("\n")[1] == "set()"
