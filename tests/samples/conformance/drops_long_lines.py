"""It drops lines that are longer than what it reads at once."""

from plain import Worker


class Wrong(Worker):
    def split(self, chunk):
        super().split(chunk)
        self.lines = [line for line in self.lines if len(line) < 65_536]


Wrong().run()
