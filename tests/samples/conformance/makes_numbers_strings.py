"""Fractions come back as text."""

import json

from plain import Worker


class Wrong(Worker):
    def do_echo(self, data):
        return json.loads(json.dumps(data["value"]), parse_float=str)


Wrong().run()
