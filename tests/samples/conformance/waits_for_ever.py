"""It waits for an answer when nobody can give one."""

import time

from plain import Worker


class Wrong(Worker):
    def at_end(self):
        if self.waiting:
            time.sleep(600)
        super().at_end()

    waiting = False

    def call(self, method, params):
        self.waiting = True
        result = super().call(method, params)
        self.waiting = False
        return result


Wrong().run()
