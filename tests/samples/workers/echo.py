"""Returns its data; has a handler and no run_worker."""


def handler(job, ctx):
    return job["data"]
