"""It makes a call when it has answered."""

from plain import Worker


class Wrong(Worker):
    def finish(self, answer):
        self.reply(answer)
        self.write({"jsonrpc": "2.0", "method": "ctx.state.delete", "params": ["x"]})


Wrong().run()
