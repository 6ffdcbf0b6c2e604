"""It answers its job two times."""

from plain import Worker


class Wrong(Worker):
    def finish(self, answer):
        self.reply(answer)
        self.reply(answer)


Wrong().run()
