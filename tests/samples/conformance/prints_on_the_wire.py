"""What its handler prints goes where the messages go."""

import os

from plain import Worker


class Wrong(Worker):
    def do_print(self, data):
        os.write(self.writes, data["text"].encode())


Wrong().run()
