"""A job that returns nothing is answered with neither result nor error."""

from plain import Worker


class Wrong(Worker):
    def finish(self, answer):
        self.reply({} if answer == {"result": None} else answer)


Wrong().run()
