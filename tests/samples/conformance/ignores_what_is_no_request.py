"""JSON that is no request gets no answer."""

from plain import Worker


class Wrong(Worker):
    def refuse(self, send):
        pass


Wrong().run()
