"""No worker: the SDK's own channel and peer in a process, with the methods of the specification."""

from threading import Event

from nuxt_queue.errors import MethodNotFoundError
from nuxt_queue.rpc.peer import Peer
from nuxt_queue.sdk.stdio import claim

METHODS = {
    "subtract": lambda p: p[0] - p[1] if isinstance(p, list) else p["minuend"] - p["subtrahend"],
    "sum": sum,
    "get_data": lambda _: ["hello", 5],
    "update": lambda _: None,
    "notify_hello": lambda _: None,
    "notify_sum": lambda _: None,
}


def serve(method, params, reply):
    if method not in METHODS:
        raise MethodNotFoundError(method)
    reply.result(METHODS[method](params))


over = Event()
channel = claim()
peer = Peer(channel.write, serve, 1_000_001)
channel.listen(peer.receive, over.set)
over.wait(60)
