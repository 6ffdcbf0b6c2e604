"""A handler of the SDK that helps `nq conformance`, as docs/protocol.md describes it."""

from nuxt_queue import run_worker


async def handler(job, ctx):
    match job["data"]:
        case {"do": "echo", "value": value}:
            return value
        case {"do": "state", "key": key, "value": value}:
            await ctx.state.set(key, value)
            return await ctx.state.get(key)
        case {"do": "log", "level": level, "message": message, "metadata": metadata, "times": times}:
            for _ in range(times):
                ctx.logger.log(level, message, metadata)
        case {"do": "emit", "trigger": trigger, "payload": payload}:
            await ctx.flow.emit(trigger, payload)
        case {"do": "fail", "message": message}:
            raise RuntimeError(message)
        case {"do": "print", "text": text}:
            print(text, end="")


if __name__ == "__main__":
    run_worker(handler)
