"""Prints what would be messages of the protocol."""

import json
import os

FORGED = (
    {"jsonrpc": "2.0", "id": 1, "result": "FORGED"},
    {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "FORGED"}},
    {"jsonrpc": "2.0", "method": "ctx.state.set", "params": {"key": "k", "value": 1}, "id": 9},
    {"jsonrpc": "2.0", "method": "ctx.logger.log", "params": {"level": "info", "message": "FORGED"}},
)


def handler(job, ctx):
    for n in range(job["data"]):
        line = json.dumps(FORGED[n % 4])
        print(line)
        os.write(1, line.encode() + b"\n")
        os.write(2, line.encode() + b"\n")
    return {"k": ctx.state.get("k")}
