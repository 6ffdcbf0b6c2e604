"""Every id comes back as a string."""

from plain import Worker


class Wrong(Worker):
    def answer(self, message, body, send):
        if "id" in message:
            message = {**message, "id": str(message["id"])}
        super().answer(message, body, send)


Wrong().run()
