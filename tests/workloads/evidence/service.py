"""A service whose thread of its own writes a line some time after each request: service.py PORT

The line names the request's X-Request-ID as the program has it, so "None" where a client sent that word.
"""

import queue
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

# Longer than the request takes, and shorter than evidence lasts.
LATER = 1.4

asked = queue.Queue()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(204)
        self.end_headers()
        asked.put(self.headers["X-Request-ID"])

    def log_message(self, *_):
        pass


def sweep():
    while True:
        request = asked.get()
        time.sleep(LATER)
        sys.stdout.write(f"swept request_id={request}\n")
        sys.stdout.flush()


threading.Thread(target=sweep, daemon=True).start()
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
