"""Its errors do not say what failed."""

from plain import Worker


class Wrong(Worker):
    def failure(self, text):
        return super().failure("the handler failed")


Wrong().run()
