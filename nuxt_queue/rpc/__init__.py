"""The wire: JSON-RPC 2.0, one message a line, UTF-8, both directions.

`codec` turns values into lines and back, `values` says what of Python JSON can hold, `messages`
builds and checks messages, `methods` holds every name that both sides use, `peer` keeps ids and
pending calls.  Standard library only and no policy: a worker pays for each module at every job.
"""
