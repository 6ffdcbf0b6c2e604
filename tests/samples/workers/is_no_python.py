config = {"queue": {"name": "magic"}}
%matplotlib inline


def handler(job, ctx):
    return None
