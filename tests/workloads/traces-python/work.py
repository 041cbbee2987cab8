"""What the middle services in Python have in common; see tests/workloads/traces-go/work for what they do."""

import itertools
import logging
import os
import random
import sys

LATE = 0.005
LEAF = os.environ["LEAF"]
# Unbuffered: a line is one write, at the end of the file.
TRUTH = open(os.environ["TRUTH"], "ab", buffering=0)
LINES = os.environ.get("LINES")
LOG = logging.getLogger("work")
if LINES:
    assert LINES == "logging", LINES
    FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(stream=sys.stdout, format=FORMAT)
    LOG.setLevel(logging.INFO)


class Request:
    def __init__(self, path, pass_on, traceparent):
        _, work, self.pattern, self.marker = path.split("/")
        assert work == "work", path
        self.pass_on, self.traceparent = pass_on, traceparent
        self.notes = itertools.count(1)

    def headers(self):
        """Of a call."""
        if self.pass_on == "forwarded":
            return {"traceparent": self.traceparent}
        if self.pass_on == "fresh":
            version, trace, _, flags = self.traceparent.split("-")
            return {"traceparent": f"{version}-{trace}-{random.getrandbits(64) | 1:016x}-{flags}"}
        return {}

    def note(self, place):
        """A line with the request's marker, numbered from 1: the truth which the sensor's records are held against."""
        if LINES:
            LOG.info("working on %s: %s.%d", self.marker, place, next(self.notes))

    def path(self, number):
        """Of a call, which is written down as the truth."""
        to = f"{self.marker}.{number}"
        TRUTH.write(f"{self.marker} {to}\n".encode())
        return f"/leaf/{to}"


def some_file():
    """Work for a pool of threads."""
    with open(__file__, "rb") as file:
        return len(file.read())
