"""From a notebook to one standalone worker file.

The way of a notebook, which `export` goes: `roles` chooses cells, `code` parses them (with `magics`
where they are not Python), `slices` adds what they need, `literal` reads the config and `handler`
finds the handler, `analysis`, `standalone` and `importing` say what is wrong, `render` makes the
text, `check` compiles it, `target` writes it, and `sourcemap` finds the way back.  Nothing of the
notebook is ever run or imported.
"""

from nbtools.exporter.export import Exported, Options, export_notebook, render_notebook
from nbtools.exporter.sourcemap import Place, where, where_in
from nbtools.exporter.target import worker_stem, write_worker

__all__ = [
    "Exported",
    "Options",
    "Place",
    "export_notebook",
    "render_notebook",
    "where",
    "where_in",
    "worker_stem",
    "write_worker",
]
