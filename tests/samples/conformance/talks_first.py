"""It says something before it is asked."""

from plain import Worker


class Wrong(Worker):
    def run(self):
        self.write({"jsonrpc": "2.0", "method": "started", "params": {}})
        super().run()


Wrong().run()
