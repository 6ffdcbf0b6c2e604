"""It does not know the method shutdown."""

from plain import Worker


class Wrong(Worker):
    def shutdown(self, reply):
        self.unknown(reply)


Wrong().run()
