"""The child's side: what a worker file imports, and what runs it.

Standard library only, and as little of it as possible: every job pays for every module.
"""
