"""The code of its errors is a string."""

from plain import Worker


class Wrong(Worker):
    def failure(self, text):
        return {"error": {"code": "E_FAILED", "message": text}}


Wrong().run()
