"""It leaves "jsonrpc" out."""

from plain import Worker


class Wrong(Worker):
    def write(self, message):
        if isinstance(message, dict):
            message = {key: value for key, value in message.items() if key != "jsonrpc"}
        super().write(message)


Wrong().run()
