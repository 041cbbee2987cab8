"""A service that calls where its requests send it: webhook.py OTHER PORT.

GET /hook has `{}` posted to http://127.0.0.1:OTHER/v1/traces, as JSON. GET /forward?PATH asks there for
PATH, with the `traceparent` as it came. Others call nobody.
"""

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

other, port = int(sys.argv[1]), int(sys.argv[2])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        target, _, path = self.path.partition("?")
        connection = http.client.HTTPConnection("127.0.0.1", other, timeout=10)
        if target == "/hook":
            connection.request("POST", "/v1/traces", "{}", {"Content-Type": "application/json"})
            connection.getresponse().read()
        elif target == "/forward":
            context = {"traceparent": self.headers["traceparent"]}
            connection.request("GET", path, headers=context)
            connection.getresponse().read()
        connection.close()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
