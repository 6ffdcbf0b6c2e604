"""Returns what the job and the context say, and where it runs."""

import os
import sys

from nuxt_queue.rpc.methods import CONTEXT_FIELDS


def handler(job, ctx):
    return {
        "job": dict(job),
        "context": {camel: getattr(ctx, camel) for camel in CONTEXT_FIELDS.values()},
        "argv": sys.argv,
        "name": __name__,
        "file": __file__,
        "main": sys.modules["__main__"].__file__,
        "cwd": os.getcwd(),
        "path": sys.path,
        "leads_its_group": os.getpgrp() == os.getpid() == os.getsid(0),
    }
