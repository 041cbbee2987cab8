"""A server that calls on: relay.py BACKEND threads|asyncio PORT.

GET /in/WAY/N becomes GET /out/WAY/N at the port BACKEND, over a connection that belongs to the incoming
one. WAY says what comes in between: now nothing, awaited other coroutines, timer 5 ms, file a read by
another thread (by this one, with threads); twice makes a second call when the first is over,
/out/twice/N/2.
"""

import asyncio
import http.client
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BACKEND = int(sys.argv[1])
PORT = int(sys.argv[3])
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def read_file():
    with open(__file__, "rb", buffering=0) as file:
        return file.read()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.backend = http.client.HTTPConnection("127.0.0.1", BACKEND)

    def call(self, path):
        self.backend.request("GET", path)
        self.backend.getresponse().read()

    def do_GET(self):
        _, _, way, number = self.path.split("/")
        if way == "timer":
            time.sleep(0.005)
        elif way == "file":
            read_file()
        self.call(f"/out/{way}/{number}")
        if way == "twice":
            self.call(f"/out/twice/{number}/2")
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


async def call(backend, path):
    reader, writer = backend
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)


async def nothing():
    for _ in range(5):
        await asyncio.sleep(0)


async def serve(reader, writer):
    backend = await asyncio.open_connection("127.0.0.1", BACKEND)
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            break
        _, _, way, number = head.split(b" ")[1].decode().split("/")
        if way == "timer":
            await asyncio.sleep(0.005)
        elif way == "file":
            await asyncio.get_running_loop().run_in_executor(None, read_file)
        elif way == "awaited":
            await asyncio.create_task(nothing())
        await call(backend, f"/out/{way}/{number}")
        if way == "twice":
            await call(backend, f"/out/twice/{number}/2")
        writer.write(ANSWER)
    writer.close()
    backend[1].close()


async def listen():
    server = await asyncio.start_server(serve, "127.0.0.1", PORT, backlog=64)
    await server.serve_forever()


if sys.argv[2] == "threads":
    Server(("127.0.0.1", PORT), Handler).serve_forever()
else:
    asyncio.run(listen())
