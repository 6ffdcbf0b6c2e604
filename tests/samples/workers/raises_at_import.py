"""Fails while it is imported, two calls deep."""


def load():
    return open("no such model.bin")


MODEL = load()


def handler(job, ctx):
    return MODEL
