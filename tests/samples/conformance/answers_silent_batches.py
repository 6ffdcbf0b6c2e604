"""A batch of notifications is answered with an empty array."""

from plain import Worker, is_notification


class Wrong(Worker):
    def take_batch(self, items):
        if all(map(is_notification, items)):
            self.write([])
        super().take_batch(items)


Wrong().run()
