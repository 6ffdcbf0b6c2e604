"""It answers with a line of any length, whoever reads it."""

from plain import Worker


class Wrong(Worker):
    def fit(self, message):
        return message


Wrong().run()
