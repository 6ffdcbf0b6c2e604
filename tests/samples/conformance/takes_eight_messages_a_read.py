"""It has room for no more than eight messages at once."""

from plain import Worker


class Wrong(Worker):
    def split(self, chunk):
        super().split(chunk)
        del self.lines[8:]


Wrong().run()
