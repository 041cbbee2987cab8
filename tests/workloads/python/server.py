"""An HTTP/1.1 server of the standard library: server.py WHERE [threads]. WHERE is a port of 127.0.0.1, an address and a
port (ADDRESS:PORT), or the path of a Unix socket.

Each request is a line of JSON on standard output with what the server made of it: its method, its
target, the marker in `x-marker`, the bytes of its body, the status and the bytes of the response's
body. Targets: /status/N answers with that status, /sleep/MS after that time, /size/N with that many
bytes, /chunked/N with as many chunks of 1024 bytes; others with an echo of the request's body.
"""

import json
import socket
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer


CHUNK = b"HTTP/1.1 500 No\r\n" * 60 + b"4 B."


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        words = self.path.split("?")[0].split("/")
        number = int(words[2]) if len(words) > 2 and words[2].isdigit() else 0
        status, chunks, reply = 200, None, body
        if words[1] == "status":
            status, reply = number, b"" if number in (204, 304) else b"as asked"
        elif words[1] == "sleep":
            time.sleep(number / 1000)
            reply = b"slept"
        elif words[1] == "size":
            reply = b"x" * number
        elif words[1] == "chunked":
            chunks, reply = number, CHUNK * number
        self.send_response(status)
        self.send_header("x-marker", self.headers.get("x-marker", "none"))
        if chunks is not None:
            self.send_header("Transfer-Encoding", "chunked")
        elif status not in (204, 304):
            self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        sent = 0 if self.command == "HEAD" else len(reply)
        # Told before the client can know that it is over.
        record = {
            "method": self.command,
            "target": self.path,
            "marker": self.headers.get("x-marker"),
            "received": length,
            "status": status,
            "sent": sent,
            "client": self.client_address[1],
        }
        print(json.dumps(record), flush=True)
        if chunks is not None:
            for _ in range(chunks):
                self.wfile.write(b"400;extension=1\r\n" + CHUNK + b"\r\n")
            self.wfile.write(b"0\r\nx-trailer: yes\r\n\r\n")
        elif sent:
            self.wfile.write(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PURGE = answer

    def log_message(self, *args):
        pass


# More than five may come at once.
HTTPServer.request_queue_size = 128

kind = ThreadingHTTPServer if sys.argv[2:] == ["threads"] else HTTPServer
where = sys.argv[1]
if "/" in where:

    class Unix(kind):
        address_family = socket.AF_UNIX

        def server_bind(self):
            socketserver.TCPServer.server_bind(self)

        def get_request(self):
            return self.socket.accept()[0], ("", 0)

    kind, place = Unix, where
else:
    address, _, port = where.rpartition(":")
    place = (address or "127.0.0.1", int(port))
kind(place, Handler).serve_forever()
