"""It writes what the pipe takes at once, and loses the rest."""

import json
import os

from plain import Worker


class Wrong(Worker):
    def write(self, message):
        os.set_blocking(self.writes, False)
        os.write(self.writes, json.dumps(message).encode() + b"\n")


Wrong().run()
