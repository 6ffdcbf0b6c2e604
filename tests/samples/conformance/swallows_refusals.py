"""A call that the host refuses is taken for one that returned nothing."""

from plain import Worker


class Wrong(Worker):
    def call(self, method, params):
        try:
            return super().call(method, params)
        except RuntimeError:
            return None


Wrong().run()
