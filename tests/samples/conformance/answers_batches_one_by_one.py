"""Each answer to a batch is a line of its own."""

from plain import Worker


class Wrong(Worker):
    def take_batch(self, items):
        for item in items:
            self.serve(item, self.write)


Wrong().run()
