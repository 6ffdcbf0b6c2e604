"""A line that is not JSON gets no answer."""

from plain import Worker


class Wrong(Worker):
    def not_json(self):
        pass


Wrong().run()
