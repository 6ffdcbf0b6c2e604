"""Writes to stdout in every way there is, at every time there is."""

import atexit
import ctypes
import os
import subprocess
import sys

print("at import")


def handler(job, ctx):
    print("print")
    print("no newline", end="", flush=True)
    print()
    sys.stdout.write("sys.stdout\n")
    sys.__stdout__.write("sys.__stdout__\n")
    sys.__stdout__.flush()
    sys.stdout.buffer.write(b"buffer\n")
    sys.stdout.flush()
    os.write(1, b"os.write\n")
    libc = ctypes.CDLL(None)
    libc.puts(b"puts")
    libc.fflush(None)
    os.system("echo os.system")
    subprocess.run(["echo", "subprocess"], check=True)
    os.write(1, b"bytes \xff\xfe\n")
    os.write(1, "é😀\n".encode())
    print("to stderr", file=sys.stderr)
    atexit.register(print, "at exit")
    return "answered"
