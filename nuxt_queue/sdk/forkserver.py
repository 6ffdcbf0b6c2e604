"""Becomes a copy of itself for each job: `python -P forkserver.py CONTROL PRELOAD...`.

A script like `bootstrap`, which it stands in for: what `bootstrap` does once for one worker, each
copy does for its own.
"""

import os
import sys

_package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.dirname(_package))
from nuxt_queue.sdk.copies import run_and_end, serve  # noqa: E402 the path above is what finds it
from nuxt_queue.sdk.entry import run_file  # noqa: E402

del sys.path[0]
_worker = serve(int(sys.argv[1]), sys.argv[2:])  # returns in the copies
run_and_end(run_file, _worker)
