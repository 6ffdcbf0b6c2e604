"""Has a handler that takes the data only."""


def handler(data):
    return data
