"""It writes a line that is no message."""

import os

from plain import Worker


class Wrong(Worker):
    def handle(self, data):
        os.write(self.writes, b"hello\n")
        return super().handle(data)


Wrong().run()
