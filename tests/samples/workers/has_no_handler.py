"""States a config and no handler."""

config = {"queue": {"name": "idle"}}
