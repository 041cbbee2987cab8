"""Python's loggers: loggers.py LOGGER. What is told of each record is described in tests/workloads/loggers-go."""

import inspect
import json
import logging
import os
import sys
import time

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
TRUTH = open(os.environ["TRUTH"], "w", buffering=1)
MS = 1_000_000

FIELDS = {
    "order_id": "o-17",
    "attempt": 3,
    "delta": -5,
    "big": 9007199254740993,
    "ratio": 0.25,
    "paid": True,
    "path": '/a b/"c"',
    "user": {"id": 7, "name": "Ana"},
    "tags": ["new", "vip"],
    "coupon": None,
}
EXPECTED = {key: value for key, value in FIELDS.items() if key not in ("user", "coupon")}
EXPECTED |= {"user.id": 7, "user.name": "Ana"}
EVENTS = [
    ("debug", "cache warmed", None),
    ("info", "order placed", "fields"),
    ("info", "größe ☃ 𝄞 done", None),
    ("warning", 'he said "no" \\ twice', None),
    ("warning", "first line\nsecond line", None),
    ("info", "order paid", "ids"),
    ("error", "payment failed", "error"),
]
STACK = [
    "Traceback (most recent call last):",
    "ValueError: card declined",
    "RuntimeError: no payment",
    "in charge",
    "in failure",
]


def charge():
    raise ValueError("card declined")


def failure():
    try:
        charge()
    except ValueError as cause:
        raise RuntimeError("no payment") from cause


def run(write, source="stdout", text=False, stamp=MS, caller=False):
    """`write(level, message, more)` logs, and gives the line of the call."""
    for level, message, more in EVENTS:
        said = {"level": level.removesuffix("ing"), "message": message, "source": source}
        said["resolution"] = stamp
        said["loose"] = text
        said["split"] = text and "\n" in message
        if more == "fields" and not text:
            said["attributes"] = EXPECTED
        if more == "ids":
            said |= {"trace_id": TRACE_ID, "span_id": SPAN_ID}
        if more == "error":
            said["words"] = STACK
        said["before"] = time.time_ns()
        line = write(level, message, more)
        said["after"] = time.time_ns()
        if caller:
            said |= {"file": os.path.basename(__file__), "line": line}
        TRUTH.write(json.dumps(said) + "\n")


def here():
    """The line after the one that calls it."""
    return inspect.currentframe().f_back.f_lineno + 1


def written(logger, ids_in_text=False):
    """By a logger of the standard library."""

    def write(level, message, more):
        number = getattr(logging, level.upper())
        if more == "error":
            try:
                failure()
            except RuntimeError:
                line = here()
                logger.exception(message)
        elif more == "ids" and ids_in_text:
            line = here()
            logger.log(number, "%s trace_id=%s span_id=%s", message, TRACE_ID, SPAN_ID)
        elif more:
            extra = FIELDS if more == "fields" else {"trace_id": TRACE_ID, "span_id": SPAN_ID}
            line = here()
            logger.log(number, message, extra=extra)
        else:
            line = here()
            logger.log(number, message)
        return line

    return write


def handled(stream, formatter):
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger("shop.orders")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    return logger


def standard():
    form = "%(asctime)s %(levelname)s [%(name)s] [%(filename)s:%(lineno)d] %(message)s"
    logger = handled(sys.stderr, logging.Formatter(form))
    run(written(logger, ids_in_text=True), "stderr", text=True)


def basic():
    """`logging.basicConfig` with nothing said: no time."""
    logging.basicConfig(level=logging.DEBUG)
    run(written(logging.getLogger("shop.orders"), ids_in_text=True), "stderr", text=True, stamp=0)


def as_json():
    from pythonjsonlogger.json import JsonFormatter

    form = JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    run(written(handled(sys.stdout, form)))


def structured():
    import structlog

    processors = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(processors=processors)
    logger = structlog.get_logger()

    def write(level, message, more):
        log = getattr(logger, level)
        if more == "error":
            try:
                failure()
            except RuntimeError:
                logger.exception(message)
        elif more:
            log(message, **(FIELDS if more == "fields" else {"trace_id": TRACE_ID, "span_id": SPAN_ID}))
        else:
            log(message)

    run(write)


def uncaught():
    """Of an exception that nobody catches Python writes the traceback, in many writes."""
    now = time.time_ns()
    said = {"message": "RuntimeError: no payment", "source": "stderr", "loose": True}
    said |= {"among": True, "words": STACK}
    # When it is over nobody knows any more.
    said |= {"before": now, "after": now + 5_000_000_000}
    TRUTH.write(json.dumps(said) + "\n")
    failure()


LOGGERS = {
    "logging": standard,
    "logging-basic": basic,
    "json": as_json,
    "structlog": structured,
    "uncaught": uncaught,
}
LOGGERS[sys.argv[1]]()
