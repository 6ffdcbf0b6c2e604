"""An answer that it has not asked for ends it."""

from plain import Worker


class Wrong(Worker):
    def settle(self, message):
        if message["id"] != self.next_id:
            raise SystemExit(1)
        super().settle(message)


Wrong().run()
