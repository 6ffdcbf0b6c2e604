"""Asks for the state `go` and returns it: a job in flight for as long as a test wants."""


def handler(job, ctx):
    return {"go": ctx.state.get("go"), "data": job["data"]}
