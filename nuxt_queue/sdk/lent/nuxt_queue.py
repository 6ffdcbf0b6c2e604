# noqa: INP001 the folder is no package: it is lent as a whole
"""Lends this package to a worker that a command of the settings starts, and nothing else.

Its folder, which holds no other file, goes on `PYTHONPATH`.  The folder of the package would lend
everything that is installed beside it: a worker has its own packages, of its own versions.
"""

import os

__path__ = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))]
__file__ = os.path.join(__path__[0], "__init__.py")
with open(__file__, "rb") as _file:
    exec(compile(_file.read(), __file__, "exec"))  # noqa: S102 it becomes that very package
