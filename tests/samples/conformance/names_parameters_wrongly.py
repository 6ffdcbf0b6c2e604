"""It calls a method with parameters that it does not have."""

from plain import Worker


class Wrong(Worker):
    def do_emit(self, data):
        self.call("ctx.flow.emit", {"name": data["trigger"], "data": data["payload"]})


Wrong().run()
