"""It logs without waiting, whoever reads it."""

from plain import Worker


class Wrong(Worker):
    def log(self, level, message, metadata):
        framed, self.framed = self.framed, True
        super().log(level, message, metadata)
        self.framed = framed


Wrong().run()
