"""It makes text of each chunk before it puts them together."""

from plain import Worker


class Wrong(Worker):
    def split(self, chunk):
        super().split(chunk.decode("utf-8", "replace").encode())


Wrong().run()
