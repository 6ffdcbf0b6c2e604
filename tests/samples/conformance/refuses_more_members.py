"""It refuses an execute with more members than it knows."""

from plain import Worker


class Wrong(Worker):
    def execute(self, message, reply):
        if set(message["params"]) - {"job", "context"}:
            reply({"error": {"code": -32602, "message": "what is this?"}})
        else:
            super().execute(message, reply)


Wrong().run()
