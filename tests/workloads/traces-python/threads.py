"""A service of threads, one for each connection (http.server), that calls by http.client: threads.py PORT"""

import http.client
import http.server
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import work

# Fewer than there are requests at once.
POOL = ThreadPoolExecutor(8)
LOCAL = threading.local()


def ask(request, number):
    """Over a connection of this thread's own."""
    connection = getattr(LOCAL, "connection", None)
    if connection is None:
        connection = LOCAL.connection = http.client.HTTPConnection(work.LEAF)
    connection.request("GET", request.path(number), headers=request.headers())
    response = connection.getresponse()
    response.read()
    assert response.status == 200, response.status


def noted(request, number, place="called"):
    ask(request, number)
    request.note(place)


def elsewhere(request, number, place):
    """In another thread."""
    request.note(place)
    noted(request, number, place)


def do(request):
    request.note("begin")
    if request.pattern == "one":
        noted(request, 1)
    elif request.pattern == "seq":
        noted(request, 1)
        noted(request, 2)
    elif request.pattern == "par":
        # One in a thread of its own (and over a connection of its own), the other here.
        other = threading.Thread(target=elsewhere, args=(request, 1, "started"))
        other.start()
        noted(request, 2)
        other.join()
        request.note("joined")
    elif request.pattern == "late":
        time.sleep(work.LATE)
        request.note("slept")
        noted(request, 1)
    elif request.pattern == "pool":
        # A thread that was there before makes the call.
        POOL.submit(elsewhere, request, 1, "pooled").result()
        request.note("joined")
    else:
        assert request.pattern == "after", request.pattern
    request.note("end")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One write an answer.
    wbufsize = -1

    def do_GET(self):
        headers = self.headers
        request = work.Request(self.path, headers["pass-on"], headers["traceparent"])
        do(request)
        body = b"done\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        request.note("after")
        if request.pattern == "after":
            # By the same thread, which has answered.
            noted(request, 1, "after")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
