"""`jupyter nbconvert --to nq-worker`, and "Save and Export Notebook As" in JupyterLab.

nbconvert loads every exporter whenever it starts, so what an export needs is imported by the
export: neither its cost nor a fault of it may be in the way of `--to html`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from nbconvert.exporters.exporter import Exporter
from traitlets import default

__all__ = ["MenuExporter", "WorkerExporter"]


class WorkerExporter(Exporter):
    """Makes the file that `nq-export` makes, byte for byte.

    nbconvert's preprocessors are passed over: what becomes part of a worker is decided by the
    cells' roles alone.
    """

    output_mimetype = "text/x-python"

    @default("enabled")
    def _by_this_name(self) -> bool:
        # A Jupyter server lists every exporter that is enabled, and answers only for names without
        # a hyphen: there `MenuExporter` serves, and `nq-worker` would be an entry to nowhere.
        return not hasattr(_running(), "web_app")

    @default("file_extension")
    def _python(self) -> str:
        return ".py"

    def from_filename(
        self, filename: str, resources: Any = None, **_: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Export the notebook in a file.

        Raises:
            ConversionException: If it cannot become a worker; says why, a line for each reason.
        """
        metadata = {"name": Path(filename).stem, "path": str(Path(filename).parent)}
        resources = {**(resources or {}), "metadata": metadata}
        return self._answer(filename, None, resources)

    def from_file(
        self, file_stream: Any, resources: Any = None, **_: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Export the notebook in a stream; see `from_filename`."""
        raw = file_stream.read()
        raw = raw.encode() if isinstance(raw, str) else raw
        return self._answer(_file_named_by(resources), raw, resources)

    def from_notebook_node(
        self, nb: Any, resources: Any = None, **_: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Export a notebook that has been read, as a Jupyter server does; see `from_filename`."""
        return self._answer(_file_named_by(resources), json.dumps(nb).encode(), resources)

    def _answer(self, file: str, raw: bytes | None, resources: Any) -> tuple[Any, dict[str, Any]]:
        from nbconvert.utils.exceptions import ConversionException

        from nbtools.errors import NbtoolsError
        from nbtools.exporter import render_notebook, worker_stem
        from nbtools.notebook import parse_notebook, read_notebook

        resources = self._init_resources(resources)  # type: ignore[no-untyped-call]  # nbconvert has none
        chosen = str(resources.get("unique_key") or "")  # what nbconvert will call the file
        is_chosen = chosen not in {"", Path(file).stem}
        stem = Path(chosen).name if is_chosen else worker_stem(file)
        resources["unique_key"] = chosen if is_chosen else stem
        try:
            notebook = read_notebook(file) if raw is None else parse_notebook(raw, file)
            exported = render_notebook(notebook, stem=stem)
            _spare_edits(file, exported.text, resources)
        except NbtoolsError as error:
            if _command_line() is not None:  # it would show a traceback above our lines
                raise SystemExit(str(error)) from None
            raise ConversionException(str(error)) from None
        for warning in exported.warnings:
            self.log.warning(warning.sentence(file))
        return exported.text, resources


class MenuExporter(WorkerExporter):
    """The same as `nq_worker`, for the menus of Jupyter."""

    export_from_notebook = "Queue worker"

    @default("enabled")
    def _everywhere(self) -> bool:
        return True


def _running() -> Any:
    """Return the Jupyter application that runs in this process, if one does."""
    from traitlets.config import Application

    return Application.instance() if Application.initialized() else None


def _command_line() -> Any:
    """Return `jupyter nbconvert` itself, when it is what runs."""
    from nbconvert.nbconvertapp import NbConvertApp

    application = _running()
    return application if isinstance(application, NbConvertApp) else None


def _spare_edits(file: str, text: str, resources: dict[str, Any]) -> None:
    """Refuse to let nbconvert overwrite a worker that was edited by hand, or is not ours."""
    from nbtools.exporter.root import find_root
    from nbtools.exporter.target import inspect_target, refuse_target

    writer: Any = getattr(_command_line(), "writer", None)
    if not hasattr(writer, "build_directory"):
        return  # to stdout, or to a browser
    folder = writer.build_directory or resources["metadata"].get("path", "")
    target = Path(folder) / f"{resources['unique_key']}.py"
    root = find_root(Path(file).parent) or Path(file).parent
    refuse_target(file, target, inspect_target(target, text, root))


def _file_named_by(resources: Any) -> str:
    """Return the notebook's file as nbconvert's resources name it."""
    metadata = (resources or {}).get("metadata", {})
    name = metadata.get("name") or "notebook"
    return os.path.join(metadata.get("path") or "", f"{name}.ipynb")  # noqa: PTH118 a text, as given
