"""It calls a method that no host has."""

from plain import Worker


class Wrong(Worker):
    def do_emit(self, data):
        self.call("ctx.emitEvent", {"name": data["trigger"]})


Wrong().run()
