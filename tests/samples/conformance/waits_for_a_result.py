"""It takes no error for an answer to its calls."""

from plain import Worker


class Wrong(Worker):
    def settle(self, message):
        if "result" in message:
            super().settle(message)


Wrong().run()
