"""A service that OpenTelemetry's SDK instruments, exporting by OTLP: service.py DOWNSTREAM PORT.

What the variables of OpenTelemetry say (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL,
OTEL_BSP_SCHEDULE_DELAY), holds.
Each request has these made at the server on port DOWNSTREAM: one by an instrumented client
(/size/1), one by a client that nobody instrumented (/size/2), and one by a client that passes on
`traceparent` as it came (/size/3); all with the query of the request. /alone makes none.
"""

import http.client
import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import requests
from opentelemetry import trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

downstream, port = int(sys.argv[1]), int(sys.argv[2])


def plainly(target, headers):
    connection = http.client.HTTPConnection("127.0.0.1", downstream)
    connection.request("GET", target, headers=headers)
    connection.getresponse().read()
    connection.close()


def application(environ, start_response):
    query = environ["QUERY_STRING"]
    if environ["PATH_INFO"] != "/alone":
        requests.get(f"http://127.0.0.1:{downstream}/size/1?{query}", timeout=10)
        plainly(f"/size/2?{query}", {})
        plainly(f"/size/3?{query}", {"traceparent": environ["HTTP_TRACEPARENT"]})
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
RequestsInstrumentor().instrument()
application = OpenTelemetryMiddleware(application)
make_server("127.0.0.1", port, application, Server, Handler).serve_forever()
