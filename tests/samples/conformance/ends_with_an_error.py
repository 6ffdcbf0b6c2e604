"""It answers and exits with another code than 0."""

import sys

from plain import Worker


class Wrong(Worker):
    def finish(self, answer):
        self.reply(answer)
        sys.exit(3)


Wrong().run()
