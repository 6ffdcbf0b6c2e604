"""It cannot start without a variable that only some hosts set."""

import os

from plain import Worker


class Wrong(Worker):
    def __init__(self):
        super().__init__()
        os.environ["NQ_STDOUT_FD"]


Wrong().run()
