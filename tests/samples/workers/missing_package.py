"""Needs a package that is not there."""

import no_such_package_at_all


def handler(job, ctx):
    return no_such_package_at_all
