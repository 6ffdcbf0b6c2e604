"""Imports what lies beside it, and parts of the standard library that have neighbours' names."""

import beside


def handler(job, ctx):
    import asyncio
    import email.message
    import json
    import queue
    import urllib.request

    paths = [m.__file__ for m in (asyncio, email, json, queue, urllib.request)]
    return {"beside": beside.NAME, "paths": paths}
