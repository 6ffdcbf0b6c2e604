"""Starts a Node with the wire on two descriptors, for a host that has it on stdin and stdout."""

import os
import sys

reads, writes = os.dup(0), os.dup(1)
os.dup2(int(os.environ.pop("NQ_STDOUT_FD", "2")), 1)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
for fd in (reads, writes):
    os.set_inheritable(fd, True)
os.environ["NQ_WIRE_FDS"] = f"{reads},{writes}"
os.execvp("node", ["node", *sys.argv[1:]])
