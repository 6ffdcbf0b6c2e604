"""Is no Python."""


def handler(job, ctx):
    return job["data"
