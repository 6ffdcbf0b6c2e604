"""It answers methods that it does not have with null."""

from plain import Worker


class Wrong(Worker):
    def unknown(self, reply):
        reply({"result": None})


Wrong().run()
