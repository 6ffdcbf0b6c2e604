"""Ends its process while it is imported."""

import os
import sys

sys.stderr.write("no licence found\n")
sys.stderr.flush()
os._exit(9)
