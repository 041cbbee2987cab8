"""Asks a server with the contexts of many traces: ask.py RATIO COUNT PORT.

For each, a line of JSON: the trace's id, and whether OpenTelemetry's SDK samples it at this ratio.
"""

import http.client
import json
import random
import sys

from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

ratio, count, port = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sampler = TraceIdRatioBased(ratio)
connection = http.client.HTTPConnection("127.0.0.1", port)
for _ in range(count):
    trace_id = random.getrandbits(128)
    context = f"00-{trace_id:032x}-{random.getrandbits(64) | 1:016x}-01"
    connection.request("GET", "/size/1", headers={"traceparent": context})
    connection.getresponse().read()
    decision = sampler.should_sample(None, trace_id, "GET").decision
    sampled = decision == Decision.RECORD_AND_SAMPLE
    print(json.dumps({"trace_id": f"{trace_id:032x}", "sampled": sampled}))
