"""A worker that keeps every clause, without the SDK; the others beside it each break something."""

import json
import os
import sys

HOST_HOLDS = 65_536


class Worker:
    def __init__(self):
        self.framed = os.environ.get("NQ_RPC_FRAMING") == "lines"
        self.reads, self.writes = os.dup(0), os.dup(1)
        os.dup2(int(os.environ.get("NQ_STDOUT_FD", "2")), 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        self.rest, self.lines = b"", []
        self.job = self.reply = None
        self.answers, self.next_id = {}, 1000

    def run(self):
        while self.job is None:
            self.take(self.line())
        try:
            answer = {"result": self.handle(self.job["job"]["data"])}
        except Exception as error:
            answer = self.failure(f"{type(error).__name__}: {error}")
        self.finish(answer)
        sys.exit(0)

    def finish(self, answer):
        self.reply(answer)

    def failure(self, text):
        return {"error": {"code": -32000, "message": text}}

    # --- the handler

    def handle(self, data):
        return getattr(self, f"do_{data['do']}")(data)

    def do_echo(self, data):
        return data["value"]

    def do_state(self, data):
        self.call("ctx.state.set", {"key": data["key"], "value": data["value"]})
        return self.call("ctx.state.get", {"key": data["key"]})

    def do_log(self, data):
        for _ in range(data["times"]):
            self.log(data["level"], data["message"], data["metadata"])

    def do_emit(self, data):
        self.call("ctx.flow.emit", {"trigger": data["trigger"], "payload": data["payload"]})

    def do_fail(self, data):
        raise RuntimeError(data["message"])

    def do_print(self, data):
        os.write(1, data["text"].encode())

    # --- its calls

    def log(self, level, message, metadata):
        params = {"level": level, "message": message, "metadata": metadata}
        if self.framed:
            self.write({"jsonrpc": "2.0", "method": "ctx.logger.log", "params": params})
        else:
            self.call("ctx.logger.log", params)

    def new_id(self):
        self.next_id += 1
        return self.next_id

    def call(self, method, params):
        request_id = self.new_id()
        self.write({"jsonrpc": "2.0", "method": method, "params": params, "id": request_id})
        while request_id not in self.answers:
            self.take(self.line())
        answer = self.answers.pop(request_id)
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        return answer["result"]

    # --- the wire

    def line(self):
        while not self.lines:
            chunk = os.read(self.reads, 65_536)
            if not chunk:
                self.at_end()
            self.split(chunk)
        return self.lines.pop(0)

    def split(self, chunk):
        *self.lines, self.rest = (self.rest + chunk).split(b"\n")

    def at_end(self):
        sys.exit(0)

    def write(self, message):
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data:
            data = data[os.write(self.writes, data) :]

    def fit(self, message):
        size = len(json.dumps(message)) + 1
        if self.framed or size <= HOST_HOLDS:
            return message
        return {"jsonrpc": "2.0", "id": message["id"], **self.failure(f"{size} bytes are too long")}

    # --- what comes in

    def take(self, line):
        try:
            value = json.loads(line)
        except ValueError:
            self.not_json()
            return
        if isinstance(value, list) and value:
            self.take_batch(value)
        else:
            self.serve(value, self.write)

    def not_json(self):
        self.write({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "no JSON"}})

    def take_batch(self, items):
        missing = sum(not is_answer(item) and not is_notification(item) for item in items)
        answers = []

        def send(answer):
            answers.append(answer)
            if len(answers) == missing:
                self.write(answers)

        for item in items:
            self.serve(item, send)

    def serve(self, message, send):
        if is_answer(message):
            self.settle(message)
        elif not is_request(message):
            self.refuse(send)
        else:
            self.dispatch(message, lambda body: self.answer(message, body, send))

    def refuse(self, send):
        send({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no request"}})

    def settle(self, message):
        self.answers[message["id"]] = message

    def answer(self, message, body, send):
        if "id" in message:
            send(self.fit({"jsonrpc": "2.0", "id": message["id"], **body}))

    def dispatch(self, message, reply):
        method = message["method"]
        if method == "execute":
            self.execute(message, reply)
        elif method == "shutdown":
            self.shutdown(reply)
        elif method == "cancel":
            self.cancel(reply)
        else:
            self.unknown(reply)

    def execute(self, message, reply):
        if self.job is not None:
            reply({"error": {"code": -32001, "message": "busy"}})
        else:
            self.job, self.reply = message["params"], reply

    def shutdown(self, reply):
        reply({"result": None})
        sys.exit(0)

    def cancel(self, reply):
        pass

    def unknown(self, reply):
        reply({"error": {"code": -32601, "message": "no such method"}})


def is_answer(message):
    return isinstance(message, dict) and "method" not in message and "id" in message


def is_request(message):
    return (
        isinstance(message, dict)
        and message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and isinstance(message.get("params", {}), dict | list)
        and isinstance(message.get("id", ""), (str, int, float, type(None)))
    )


def is_notification(message):
    return is_request(message) and "id" not in message


if __name__ == "__main__":
    Worker().run()
