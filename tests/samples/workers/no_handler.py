"""Has no handler."""

config = {"queue": {"name": "nothing"}}


def handle(job, ctx):
    return None
