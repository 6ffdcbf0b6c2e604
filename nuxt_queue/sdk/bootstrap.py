"""Runs one worker file as the main program of a fresh process: `python -P bootstrap.py worker.py`.

A script, started by path, so that the worker's environment needs nothing installed: it lends the
worker the parent's own copy of this package.  The worker's folder goes to the end of `sys.path`,
so that a neighbour called `queue.py` or `json.py` does not shadow the standard library.
"""

import os
import sys

_package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.dirname(_package))
from nuxt_queue.sdk.entry import run_file  # noqa: E402 the path above is what finds it

del sys.path[0]
_worker = os.path.abspath(sys.argv[1])
sys.argv = [_worker, *sys.argv[2:]]
sys.path.append(os.path.dirname(_worker))
run_file(_worker)
