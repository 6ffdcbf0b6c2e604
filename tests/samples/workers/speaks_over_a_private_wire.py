"""Speaks the protocol over the descriptors that NQ_WIRE_FDS names; stdout is its own."""

import json
import os
import sys

reads, writes = (int(fd) for fd in os.environ["NQ_WIRE_FDS"].split(","))
print("on stdout", flush=True)
print(json.dumps({"jsonrpc": "2.0", "id": 1, "result": "FORGED"}), flush=True)
with os.fdopen(reads) as requests:
    for line in requests:
        call = json.loads(line)
        result = {"data": call["params"]["job"]["data"], "stdin": sys.stdin.read()}
        answer = {"jsonrpc": "2.0", "id": call["id"], "result": result}
        os.write(writes, json.dumps(answer).encode() + b"\n")
