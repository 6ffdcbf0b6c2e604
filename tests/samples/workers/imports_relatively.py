"""Imports a neighbour as if it were in a package."""

from . import states_everything

config = {"queue": {"name": "relative"}}


def handler(job, ctx):
    return states_everything.config
