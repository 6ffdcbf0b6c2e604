"""It does its job and tells nobody."""

from plain import Worker


class Wrong(Worker):
    def finish(self, answer):
        self.line()


Wrong().run()
