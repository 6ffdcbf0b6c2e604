"""It keeps a second job for later, and runs it."""

from plain import Worker


class Wrong(Worker):
    later = ()

    def execute(self, message, reply):
        if self.job is None:
            super().execute(message, reply)
        else:
            self.later = (message, reply)

    def finish(self, answer):
        self.reply(answer)
        if self.later:
            message, reply = self.later
            reply({"result": self.handle(message["params"]["job"]["data"])})


Wrong().run()
