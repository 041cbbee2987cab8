"""gRPC by grpcio: `calls.py server PORT` or `calls.py client PORT`, without generated code. Each says of each call
what came of it, a line of JSON on standard output. Messages are bytes; numbers are decimal."""

import json
import sys
import threading
import time
from concurrent import futures

import grpc

SERVICE = "workload.v1.Calls"
lock = threading.Lock()


def say(**report):
    with lock:
        print(json.dumps(report), flush=True)


# The server.


def number(code):
    return code.value[0]


class Call:
    """One call at the server: what it received and sent, said at its end."""

    def __init__(self, method, context):
        metadata = dict(context.invocation_metadata())
        self.report = {"marker": metadata["traceparent"][36:52], "method": f"/{SERVICE}/{method}"}
        assert metadata["x-binary-bin"] == b"\x00\xff\x01"
        self.sent = self.received = 0
        self.context = context

    def only(self, requests):
        """The one message, once it is known that no other follows."""
        (message,) = self.read(requests)
        return int(message)

    def read(self, requests):
        for request in requests:
            self.received += 1
            yield request

    def write(self, message):
        self.sent += 1
        return message

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        report = dict(self.report, sent=self.sent, received=self.received)
        # Of a call that the client has given up, the server knows no code.
        if self.context.is_active():
            report["code"] = number(self.context.code() or grpc.StatusCode.OK)
        details = self.context.details()
        if details:
            report["message"] = details.decode() if isinstance(details, bytes) else details
        say(**report)


def echo(requests, context):
    with Call("Echo", context) as call:
        for request in call.read(requests):
            yield call.write(request)


def fail(requests, context):
    with Call("Fail", context) as call:
        code = call.only(requests)
        codes = {number(code): code for code in grpc.StatusCode}
        context.set_code(codes[code])
        context.set_details("no such thing: 50% of \u2603")
        yield from ()


def slow(requests, context):
    with Call("Slow", context) as call:
        stopped = threading.Event()
        context.add_callback(stopped.set)
        if stopped.wait(call.only(requests) / 1000):
            return
        yield call.write(b"x")


def collect(requests, context):
    with Call("Collect", context) as call:
        total = sum(len(request) for request in call.read(requests))
        yield call.write(b"%d" % total)


def count(requests, context):
    with Call("Count", context) as call:
        for n in range(call.only(requests)):
            yield call.write(bytes(n * 3000))


def serve(port):
    handlers = {
        name: grpc.stream_stream_rpc_method_handler(handler)
        for name, handler in {
            "Echo": echo, "Fail": fail, "Slow": slow, "Collect": collect, "Count": count, "Chat": echo,
        }.items()
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=120), compression=grpc.Compression.NoCompression)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


# The client.


def call(channel, marker, method, messages, timeout=None, cancel=None, compression=None):
    trace = f"00-{1000 + marker:032x}-{marker:016x}-01"
    report = {"marker": f"{marker:016x}", "method": f"/{SERVICE}/{method}", "sent": 0, "received": 0}

    def send():
        for message in messages:
            report["sent"] += 1
            yield message

    begun = time.monotonic_ns()
    stream = channel.stream_stream(f"/{SERVICE}/{method}")(
        send(), timeout=timeout, compression=compression,
        metadata=(("traceparent", trace), ("x-binary-bin", b"\x00\xff\x01")),
    )
    timer = threading.Timer(cancel, stream.cancel) if cancel else None
    if timer:
        timer.start()
    try:
        for _ in stream:
            report["received"] += 1
    except grpc.RpcError:
        pass
    report["nanoseconds"] = time.monotonic_ns() - begun
    report["code"] = number(stream.code())
    if stream.details():
        report["message"] = stream.details()
    say(**report)


def ask(port):
    for streams, each, first in [(1, 20, 1000), (2, 20, 2000), (8, 10, 3000), (100, 3, 4000)]:
        # Channels with other options do not share a connection.
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("workload.channel", first)]) as channel:
            if first == 1000:
                kinds(channel)

            def several(stream):
                for n in range(each):
                    call(channel, first + stream * each + n, "Echo", [bytes(n)])

            with futures.ThreadPoolExecutor(max_workers=streams) as pool:
                list(pool.map(several, range(streams)))


def kinds(channel):
    call(channel, 1, "Echo", [bytes(10)])
    call(channel, 2, "Echo", [bytes(100_000)])
    call(channel, 3, "Echo", [bytes(5000)], compression=grpc.Compression.Gzip)
    for code in range(1, 17):
        call(channel, 9 + code, "Fail", [b"%d" % code])
    call(channel, 30, "Collect", [bytes(1), b"", bytes(70_000), bytes(3)])
    call(channel, 31, "Count", [b"12"])
    call(channel, 32, "Chat", [bytes(1), b"", bytes(40_000), bytes(3)])
    call(channel, 33, "Chat", [])
    call(channel, 40, "Slow", [b"5000"], timeout=0.1)
    call(channel, 41, "Slow", [b"5000"], cancel=0.05)
    call(channel, 42, "Slow", [b"5000"], timeout=10, cancel=0.05)
    call(channel, 43, "Slow", [b"1"], timeout=5)
    call(channel, 50, "Nothing", [b"x"])


if __name__ == "__main__":
    {"server": serve, "client": ask}[sys.argv[1]](sys.argv[2])
