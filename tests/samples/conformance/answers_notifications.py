"""It answers what nobody waits for."""

from plain import Worker


class Wrong(Worker):
    def answer(self, message, body, send):
        super().answer({"id": None, **message}, body, send)

    def cancel(self, reply):
        reply({"result": None})


Wrong().run()
