"""It stays when its input has ended."""

import time

from plain import Worker


class Wrong(Worker):
    def at_end(self):
        time.sleep(600)

    def finish(self, answer):
        self.reply(answer)
        self.line()


Wrong().run()
