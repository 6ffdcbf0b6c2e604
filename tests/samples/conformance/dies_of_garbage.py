"""A line that is not JSON ends it."""

import sys

from plain import Worker


class Wrong(Worker):
    def not_json(self):
        sys.exit("what was that?")


Wrong().run()
