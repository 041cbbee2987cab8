"""Processes that make one exchange each with the server at a port of this machine: forked workers that
end at once, and one with an id that it is told.

    forks.py PORT workers COUNT     forks COUNT workers, one after the other
    forks.py PORT one PATH          makes one exchange itself
    forks.py PORT reuse PID         makes two exchanges, then forks a worker with this id
"""

import ctypes
import os
import socket
import sys

# include/uapi/asm-generic/unistd.h
SYS_CLONE3 = 435
SIGCHLD = 17


class CloneArgs(ctypes.Structure):
    """struct clone_args (include/uapi/linux/sched.h), version 2."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size"
        ).split()
    ]


def say(line):
    os.write(1, f"{line}\n".encode())


def at(place):
    say(f"at {place}")
    if place != "end":
        sys.stdin.readline()


def exchange(port, path):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: forks\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            part = connection.recv(4096)
            if not part:
                raise SystemExit("no answer")
            answer += part


def work(port, path):
    """Runs in a child: whatever happens, it ends here."""
    try:
        exchange(port, path)
    except BaseException:
        os._exit(1)
    os._exit(0)


def ended(pid):
    if os.waitpid(pid, 0)[1] != 0:
        raise SystemExit(f"worker {pid} failed")


def fork_as(pid):
    wanted = ctypes.c_int(pid)
    arguments = CloneArgs(exit_signal=SIGCHLD, set_tid=ctypes.addressof(wanted), set_tid_size=1)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc.syscall(SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))


def main():
    port, scene, word = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    at("start")
    if scene == "workers":
        for n in range(int(word)):
            pid = os.fork()
            if pid == 0:
                work(port, f"/worker/{n}")
            ended(pid)
    elif scene == "one":
        exchange(port, word)
    else:
        exchange(port, "/first")
        at("first")
        exchange(port, "/second")
        at("second")
        pid = fork_as(int(word))
        if pid == 0:
            work(port, "/reused")
        say(f"forked {pid} {os.strerror(ctypes.get_errno())}")
        if pid > 0:
            ended(pid)
    at("end")


main()
