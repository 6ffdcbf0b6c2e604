"""It sets state and does not read it."""

from plain import Worker


class Wrong(Worker):
    def do_state(self, data):
        super().do_state(data)


Wrong().run()
