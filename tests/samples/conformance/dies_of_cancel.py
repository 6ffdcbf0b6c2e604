"""It is killed by being asked to cancel."""

from plain import Worker


class Wrong(Worker):
    def cancel(self, reply):
        if self.job is not None:
            raise SystemExit(1)


Wrong().run()
