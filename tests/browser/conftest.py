"""A real JupyterLab with this package installed, and a real browser in front of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect, sync_playwright

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_START_S = 60.0
# JupyterLab asks its server for the menu of exports; on a busy machine that takes a while.
expect.set_options(timeout=30_000)


class Lab(NamedTuple):
    """A running JupyterLab: its address and the folder that it shows."""

    url: str
    folder: Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start JupyterLab in folders of its own, and end it."""
    home = tmp_path_factory.mktemp("lab")
    folder = home / "work"
    folder.mkdir()
    for name in ("config", "data", "runtime", "ipython"):
        (home / name).mkdir()
    # It would ask whether it may show news.
    settings = home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    (home / "config" / "jupyter_server_config.py").write_text(_save_hook())
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0",
        "--ip=127.0.0.1", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, stderr=log, stdout=log, env=environment, cwd=home)
    try:
        yield Lab(_address(home, server), folder)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(20)


def _save_hook() -> str:
    """Return the example of the page about notebooks: a worker at each save."""
    page = (Path(__file__).parents[2] / "docs" / "notebooks.md").read_text()
    return next(each for each in page.split("```python\n") if "post_save_hook" in each).split(
        "```"
    )[0]


def _address(home: Path, server: subprocess.Popen[bytes]) -> str:
    """Return where JupyterLab answers, as soon as it does."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        for file in (home / "runtime").glob("jpserver-*.json"):
            try:
                url: str = json.loads(file.read_text())["url"]
                urllib.request.urlopen(url + "api", timeout=5).close()
            except (OSError, ValueError, KeyError):
                continue
            return url
        time.sleep(0.05)  # a server has no other way to say that it answers
    pytest.fail("JupyterLab did not start:\n" + (home / "log").read_text()[-4000:])


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """Return a page of the browser; while it is open no other event loop can run."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        pytest.fail("the browser tests need Chromium; on Debian: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(_FLAGS))
        try:
            yield chromium.new_page(viewport={"width": 1300, "height": 850})
        finally:
            chromium.close()
