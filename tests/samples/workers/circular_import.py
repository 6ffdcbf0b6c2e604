"""Imports itself by its file's name."""

import circular_import as again


def handler(job, ctx):
    return again.__name__
