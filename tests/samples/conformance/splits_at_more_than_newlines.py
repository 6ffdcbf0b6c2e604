"""It splits text where Python sees a line's end."""

from plain import Worker


LOSSLESS = ("utf-8", "surrogateescape")


class Wrong(Worker):
    def split(self, chunk):
        whole = self.rest + chunk
        head, newline, self.rest = whole.rpartition(b"\n")
        self.lines = [line.encode(*LOSSLESS) for line in head.decode(*LOSSLESS).splitlines()] if newline else []


Wrong().run()
