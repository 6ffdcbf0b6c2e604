"""What a person finds in JupyterLab: roles in the side bar, the export in the menu, a run's look.

`NQ_SCREENSHOTS=folder make browser` keeps pictures of what was seen.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from nbtools import export_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def _look(page: Page, name: str) -> None:
    if folder := os.environ.get("NQ_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture
def open_notebook(lab: Any, page: Page) -> Callable[[Path], Path]:
    """Return a function that puts a notebook before the server and opens it."""

    def open_it(source: Path) -> Path:
        path: Path = lab.folder / source.name
        shutil.copyfile(source, path)
        page.goto(f"{lab.url}lab/tree/{path.name}?reset", wait_until="commit")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
        page.wait_for_function("window.jupyterapp !== undefined")
        page.evaluate("window.jupyterapp.restored")
        return path

    return open_it


def _command(page: Page, name: str, arguments: dict[str, object] | None = None) -> None:
    page.evaluate(
        "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)",
        [name, arguments or {}],
    )


def _cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return cells


def _bare_notebook(tmp_path: Path) -> Path:
    path = tmp_path / "roles.ipynb"
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Roles"},
        *(
            {
                "cell_type": "code",
                "execution_count": None,
                "id": name,
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for name, source in (
                ("b", 'config = {"queue": "roles"}'),
                ("c", "def handler(job, ctx):\n    return job"),
            )
        ),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    document = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(document, indent=1))
    return path


def test_the_side_bar_offers_the_roles_and_the_chosen_ones_make_a_worker(
    open_notebook: Callable[[Path], Path], page: Page, tmp_path: Path
) -> None:
    path = open_notebook(_bare_notebook(tmp_path))
    code = page.locator(".jp-Notebook .jp-CodeCell")
    code.nth(0).locator(".jp-InputPrompt").click()
    page.get_by_title("Property Inspector").first.click()
    section = page.locator(".jp-NotebookTools-tool", has_text="Role of this cell")
    if not section.is_visible():
        page.get_by_text("Queue worker", exact=True).click()
    roles = section.locator("select")
    expect(roles).to_be_visible()
    offered = [text.strip() for text in roles.locator("option").all_inner_texts() if text.strip()]
    assert offered == [
        "none", "imports", "parameters", "config", "export", "handler", "test", "skip",
    ]  # fmt: skip
    roles.select_option(label="config")
    code.nth(1).locator(".jp-InputPrompt").click()
    expect(roles).not_to_have_value("config")
    roles.select_option(label="handler")
    _look(page, "side-bar")
    _command(page, "docmanager:save")
    assert [cell["metadata"].get("nq") for cell in _cells(path)] == [
        None,
        {"role": "config"},
        {"role": "handler"},
    ]
    # The hook that the page about notebooks shows has run at the save.
    assert path.with_suffix(".py").read_text() == export_notebook(path).text
    roles.select_option(label="none")
    _command(page, "docmanager:save")
    assert not _cells(path)[2]["metadata"].get("nq")


def test_the_menu_exports_the_bytes_that_nq_export_writes(
    open_notebook: Callable[[Path], Path], page: Page
) -> None:
    """Exporter R24."""
    path = open_notebook(NOTEBOOKS / "01_prepare_data.ipynb")
    page.locator(".lm-MenuBar-itemLabel", has_text="File").click()
    page.locator(".lm-Menu-itemLabel", has_text="Save and Export Notebook As").hover()
    entry = page.locator(".lm-Menu-itemLabel", has_text="Nq_worker")
    expect(entry).to_be_visible()
    _look(page, "menu")
    entries = page.locator(".lm-Menu-itemLabel").all_inner_texts()
    assert [text for text in entries if text.startswith("Nq")] == ["Nq_worker"]
    with page.context.expect_event("request", lambda each: "/nbconvert/" in each.url) as asked:
        entry.click()
    answer = page.request.get(asked.value.url, headers={"Referer": page.url})
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.body() == export_notebook(path).text.encode()


def test_a_refused_notebook_says_why_in_the_browser(lab: Any, page: Page, tmp_path: Path) -> None:
    path = _bare_notebook(tmp_path)
    shutil.copyfile(path, lab.folder / "refused.ipynb")
    answer = page.goto(f"{lab.url}nbconvert/nq_worker/refused.ipynb", referer=f"{lab.url}lab")
    assert answer
    _look(page, "refused")
    text = page.inner_text("body")
    assert answer.status == 500, text
    assert "refused.ipynb: NQ300 marks no config and no handler cell; tag cell 2" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_a_run_is_shown_in_the_notebooks_own_colours(
    theme: str, open_notebook: Callable[[Path], Path], page: Page
) -> None:
    open_notebook(NOTEBOOKS / "03_evaluate_model.ipynb")
    _command(page, "apputils:change-theme", {"theme": theme})
    page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    table = page.locator(".jp-OutputArea table", has_text="accuracy").first
    table.scroll_into_view_if_needed()
    expect(table).to_be_visible()
    seen = page.evaluate(
        """() => {
          const style = (node) => getComputedStyle(node);
          const table = [...document.querySelectorAll(".jp-OutputArea table")]
            .find((each) => each.textContent.includes("accuracy"));
          const luminance = (text) => {
            const [r, g, b] = text.match(/[\\d.]+/g).map((v) => {
              const c = v / 255;
              return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const back = luminance(style(document.querySelector(".jp-Notebook")).backgroundColor);
          return {
            rows: [...table.rows].map((row) => style(row).backgroundColor),
            contrasts: [...table.querySelectorAll("td, code, span")].map((node) => {
              const [high, low] = [luminance(style(node).color), back].sort((a, b) => b - a);
              return (high + 0.05) / (low + 0.05);
            }),
          };
        }"""
    )
    _look(page, f"run-{theme.split()[1].lower()}")
    assert set(seen["rows"]) == {"rgba(0, 0, 0, 0)"}
    assert min(seen["contrasts"]) > 3, "WCAG's least for what is not body text"
