"""A service of Flask on gunicorn that calls by requests, both traced by OpenTelemetry's SDK: service.py PORT

Each span is a line of JSON on standard output. It serves the patterns of tests/workloads/traces-go/work in which the
SDK carries its context on by itself, and whatever is called as a leaf.
"""

import json
import os
import sys
import threading
import time

os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"

import requests
from flask import Flask
from gunicorn.app.base import BaseApplication
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

LEAF = os.environ["LEAF"]
TRUTH = open(os.environ["TRUTH"], "ab", buffering=0)
LOCAL = threading.local()


class Lines(SpanExporter):
    def export(self, spans):
        for span in spans:
            line = {
                "trace_id": f"{span.context.trace_id:032x}",
                "span_id": f"{span.context.span_id:016x}",
                "parent_span_id": span.parent and f"{span.parent.span_id:016x}",
                "kind": span.kind.name.lower(),
                "start": span.start_time,
                "end": span.end_time,
                "attributes": dict(span.attributes),
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Lines()))
trace.set_tracer_provider(provider)
app = Flask(__name__)
FlaskInstrumentor().instrument_app(app)
RequestsInstrumentor().instrument()


def ask(marker, number):
    if not hasattr(LOCAL, "session"):
        LOCAL.session = requests.Session()
        LOCAL.session.trust_env = False
    TRUTH.write(f"{marker} {marker}.{number}\n".encode())
    LOCAL.session.get(f"http://{LEAF}/leaf/{marker}.{number}").raise_for_status()


@app.get("/work/<pattern>/<marker>")
def work(pattern, marker):
    if pattern == "late":
        time.sleep(0.005)
    ask(marker, 1)
    if pattern == "seq":
        ask(marker, 2)
    return "done\n"


@app.get("/leaf/<marker>")
def leaf(marker):
    return "done\n"


class Service(BaseApplication):
    """One process with as many threads as there are requests at once; Werkzeug's own server keeps no connections."""

    def load_config(self):
        self.cfg.set("bind", f"127.0.0.1:{sys.argv[1]}")
        self.cfg.set("worker_class", "gthread")
        self.cfg.set("threads", 64)
        self.cfg.set("keepalive", 60)
        self.cfg.set("loglevel", "error")

    def load(self):
        return app


Service().run()
