"""What JupyterLab's side bar offers is what the exporter knows."""

from __future__ import annotations

import json
from pathlib import Path

from nbtools import __version__
from nbtools.exporter.roles import ROLES

HERE = Path(__file__).parents[2] / "nbtools" / "labextension"


def test_the_side_bar_offers_every_role_and_none() -> None:
    schema = json.loads((HERE / "schemas" / "nuxt-queue" / "roles.json").read_text())
    (form,) = schema["jupyter.lab.metadataforms"]
    field = form["metadataSchema"]["properties"]["/nq/role"]
    offered = [choice["const"] for choice in field["oneOf"]]
    assert set(offered) == {"none", *ROLES}
    # What is not written must be the default: a cell without a role has no metadata.
    assert field["default"] == offered[0] == "none"
    assert form["metadataOptions"]["/nq/role"] == {"cellTypes": ["code"], "writeDefault": False}


def test_the_extension_has_the_packages_version_and_the_plugins_name() -> None:
    package = json.loads((HERE / "package.json").read_text())
    assert package["version"] == __version__
    entry = (HERE / package["jupyterlab"]["_build"]["load"]).read_text()
    assert f'window._JUPYTERLAB["{package["name"]}"]' in entry
    assert f'id: "{package["name"]}:roles"' in entry
