"""All its calls have the same id."""

from plain import Worker


class Wrong(Worker):
    def new_id(self):
        return 7


Wrong().run()
