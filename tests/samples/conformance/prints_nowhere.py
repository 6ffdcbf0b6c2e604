"""What its handler prints gets lost."""

from plain import Worker


class Wrong(Worker):
    def do_print(self, data):
        pass


Wrong().run()
