"""Its levels are not those of the protocol."""

from plain import Worker


class Wrong(Worker):
    def log(self, level, message, metadata):
        super().log(level.upper(), message, metadata)


Wrong().run()
