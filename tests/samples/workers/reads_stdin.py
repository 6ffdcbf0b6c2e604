"""Reads what nobody types."""

import getpass
import pdb
import sys
import warnings


def handler(job, ctx):
    warnings.simplefilter("ignore")
    way = job["data"]
    if way == "input":
        return input("name? ")
    if way == "pdb":
        pdb.set_trace()
    if way == "getpass":
        return getpass.getpass()
    return sys.stdin.read()
