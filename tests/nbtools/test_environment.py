"""Variables that a worker reads and will not get are named when it is exported."""

from __future__ import annotations

from pathlib import Path

from nbtools.exporter import export_notebook

SAMPLE = Path(__file__).parents[1] / "samples" / "notebooks" / "ok-warned-environment.ipynb"


def warned(path: Path) -> list[str]:
    found = export_notebook(path, deps=False).warnings
    return [each.message.split("'")[1] for each in found if each.code == "NQ224"]


def test_names_that_the_config_hands_on_or_sets_are_left_out(tmp_path: Path) -> None:
    stated = (
        r"{\"worker\": {\"env_passthrough\": [\"API_KEY\"], \"env\": {\"RAW\": \"1\"}}, \"flow\": {"
    )
    text = SAMPLE.read_text("utf-8")
    assert r"{\"flow\": {" in text
    notebook = tmp_path / "worker.ipynb"
    notebook.write_text(text.replace(r"{\"flow\": {", stated), "utf-8")
    assert warned(notebook) == ["DB_USER", "DB_HOST"]


def test_names_that_the_settings_of_the_project_hand_on_or_set_are_left_out(tmp_path: Path) -> None:
    notebook = tmp_path / "worker.ipynb"
    notebook.write_bytes(SAMPLE.read_bytes())
    assert warned(notebook) == ["API_KEY", "DB_USER", "DB_HOST", "RAW"]
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nuxt-queue.runtimes.python]\nenv_passthrough = ["API_KEY"]\nenv = {DB_USER = "me"}\n'
    )
    assert warned(notebook) == ["DB_HOST", "RAW"]
