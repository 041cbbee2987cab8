import logging, threading, sys
logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("shop")
def pay(n):
    return 1 / n
def order():
    try:
        pay(0)
    except ZeroDivisionError as e:
        raise RuntimeError("order 7") from e
log.warning("open")
try:
    order()
except RuntimeError as e:
    e.add_note("the customer was told")
    e.add_note("and so was the bank")
    log.exception("failed")
try:
    try:
        {}["x"]
    except KeyError:
        int("y")
except ValueError:
    log.error("again", exc_info=True)
log.warning("next")
def deep(n): return deep(n - 1) if n else pay(0)
t = threading.Thread(target=deep, args=(5,), name="worker-1")
t.start(); t.join()
try:
    raise ExceptionGroup("two", [ValueError("a"), TypeError("b")])
except ExceptionGroup:
    log.exception("group")
try:
    compile("x = (1,\ny = 2", "<order>", "exec")
except SyntaxError:
    log.exception("syntax")
log.info("never shown")
order()
