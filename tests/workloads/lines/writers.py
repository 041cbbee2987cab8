"""Writes to logs in every way, each in a process of its own.

    writers.py SCENARIO DIRECTORY

What a process PID has written to its STREAM (stdout, stderr or file) is in DIRECTORY/expected-PID-STREAM,
for as much of it as is a log. Nothing is expected of who is not there.
"""

import ctypes
import os
import pty
import shutil
import socket
import sys
import threading
import time
import tty

DIRECTORY = sys.argv[2]
# Paths may lead elsewhere later.
INSIDE = os.open(DIRECTORY, os.O_RDONLY)
LIBC = ctypes.CDLL(None, use_errno=True)


def expect(stream, data):
    """So much of it is a log."""
    name = f"expected-{os.getpid()}-{stream}"
    out = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600, dir_fd=INSIDE)
    os.write(out, data)
    os.close(out)


def child(work, *fds):
    """Runs `work` in a process with these standard input, output and error."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for number, fd in enumerate(fds):
                if fd is not None:
                    os.dup2(fd, number)
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def wait(pid):
    assert os.waitpid(pid, 0)[1] == 0, f"process {pid} failed"


def drained(fd):
    """Reads to the end, in a thread."""

    def read():
        try:
            while os.read(fd, 1 << 16):
                pass
        except OSError:
            pass  # a terminal whose other side is closed

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def through_pipe(work):
    """Runs `work` with a pipe as its standard output and error."""
    reading, writing = os.pipe()
    pid = child(work, None, writing, writing)
    os.close(writing)
    thread = drained(reading)
    wait(pid)
    thread.join()
    os.close(reading)


def new_file(name, flags=0):
    return os.open(os.path.join(DIRECTORY, name), os.O_RDWR | os.O_CREAT | flags, 0o600)


def say(fd, stream, data):
    assert os.write(fd, data) == len(data)
    if stream:
        expect(stream, data)


def calls():
    """write, writev, pwrite64, pwritev."""

    def to_pipe():
        say(1, "stdout", b"by write\n")
        parts = [b"by ", b"", b"writev", b"\n", b"x" * 5000, b"\n"]
        assert os.writev(1, parts) == sum(map(len, parts))
        expect("stdout", b"".join(parts))
        many = [b"%d " % i for i in range(1024)]
        assert os.writev(1, many) == sum(map(len, many))
        expect("stdout", b"".join(many))
        # Nothing was written.
        assert os.write(1, b"") == 0
        try:
            os.pwrite(1, b"not to a pipe\n", 0)
            raise AssertionError
        except OSError:
            pass

    def to_file():
        assert os.pwrite(1, b"by pwrite64\n", 100) == 12
        assert os.pwritev(1, [b"by ", b"pwritev\n"], 200) == 11
        assert os.pwritev(1, [b"by ", b"pwritev2\n"], 300, 0) == 12
        expect("stdout", b"by pwrite64\nby pwritev\nby pwritev2\n")

    through_pipe(to_pipe)
    file = new_file("output")
    wait(child(to_file, None, file))


def places():
    """What is a log, and what is none."""

    def both():
        say(1, "stdout", b"to standard output\n")
        say(2, "stderr", b"to standard error\n")

    def all_to_stdout():
        say(1, "stdout", b"to standard output\n")
        say(2, "stdout", b"to standard error, which is the same\n")
        say(os.dup(1), "stdout", b"to a duplicate\n")
        say(os.dup(2), "stdout", b"to another duplicate\n")

    def opened_again():
        all_to_stdout()
        paths = ["/dev/stdout", "/proc/self/fd/1", "/dev/stderr", "/proc/self/fd/2"]
        for path in filter(os.path.exists, paths):
            say(os.open(path, os.O_WRONLY | os.O_APPEND), "stdout", path.encode() + b"\n")

    def nothing():
        os.write(1, b"not a log\n")
        os.write(2, b"not a log\n")

    # Pipes: one, and two.
    through_pipe(opened_again)
    reading, writing = os.pipe()
    wait(child(both, None, writing, new_file("error", os.O_APPEND)))
    # A terminal.
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    thread = drained(ours)
    wait(child(opened_again, theirs, theirs, theirs))
    os.close(theirs)
    thread.join()
    # A file.
    file = new_file("output", os.O_APPEND)
    wait(child(opened_again, None, file, file))
    # A Unix socket, of a log driver. A duplicate is like any other socket.
    one, other = socket.socketpair()

    def to_socket():
        both_of_one = (1, b"to standard output\n"), (2, b"to standard error, which is the same\n")
        for fd, data in both_of_one:
            say(fd, "stdout", data)
        say(os.dup(1), None, b"not looked at\n")

    wait(child(to_socket, None, one.fileno(), one.fileno()))
    err, _ = socket.socketpair()
    wait(child(both, None, one.fileno(), err.fileno()))
    # One through which somebody is talked to (inetd), and a TCP connection.
    wait(child(nothing, one.fileno(), one.fileno(), one.fileno()))
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    wait(child(nothing, None, client.fileno(), client.fileno()))
    null = os.open("/dev/null", os.O_RDWR)
    wait(child(nothing, null, null, null))

    # Other descriptors.
    def others():
        say(writing, None, b"not a log\n")
        say(new_file("data"), None, b"not a log\n")
        say(client.fileno(), None, b"not a log\n")
        say(one.fileno(), None, b"not a log\n")
        say(null, None, b"not a log\n")

    wait(child(others, null, null, null))


def partial():
    """What a full pipe has not taken was not written."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def work():
        data = bytes(range(256)) * 4096
        for _ in range(20):
            taken = 0
            try:
                taken = os.write(1, data)
            except BlockingIOError:
                os.read(reading, 7000)
            assert taken < len(data)
            expect("stdout", data[:taken])
            try:
                taken = os.writev(1, [data[:5000], data[5000:]])
                expect("stdout", data[:taken])
            except BlockingIOError:
                os.read(reading, 9000)

    wait(child(work, None, writing))


def sizes():
    """64 KiB and 1 MiB whole, in one part and in many; of what is longer, the first MiB."""

    def work():
        # No period that a window could hide.
        data = b"".join(b"%d," % i for i in range(480_000))
        assert len(data) > 3 << 20
        for size in (1, 4095, 4096, 4097, 65536, 1 << 20):
            say(1, "stdout", data[:size])
        parts = [data[i * 8000 : (i + 1) * 8000] for i in range(131)]
        assert os.writev(1, parts) == 131 * 8000
        expect("stdout", b"".join(parts))
        say(1, None, data[: 3 << 20])
        expect("stdout", data[: 1 << 20])
        say(1, "stdout", b"the last one\n")

    file = new_file("output", os.O_APPEND)
    wait(child(work, None, file))


def threads():
    """Lines of many threads at once."""

    def work():
        def write(number):
            for i in range(1000):
                data = b"thread %d line %d %s\n" % (number, i, b"y" * (i % 90))
                assert os.write(1, data) == len(data)

        all_of_them = [threading.Thread(target=write, args=(n,)) for n in range(16)]
        for thread in all_of_them:
            thread.start()
        for thread in all_of_them:
            thread.join()

    through_pipe(work)


def programs():
    """Processes that come and go."""

    def exec_twice():
        say(1, "stdout", b"before exec\n")
        expect("stdout", b"from the shell\nfrom echo\n")
        os.execv("/bin/sh", ["sh", "-c", "echo from the shell; exec /bin/echo from echo"])

    def fork():
        say(1, "stdout", b"the parent\n")
        pid = child(lambda: say(1, "stdout", b"the child\n"))
        wait(pid)
        say(1, "stdout", b"the parent again\n")

    through_pipe(exec_twice)
    through_pipe(fork)


def files():
    """Files by their paths: rotated, truncated, opened for each line."""

    def work():
        file = new_file("app.log", os.O_APPEND)
        for i in range(300):
            if i == 100:
                # Time to look at what it is called.
                time.sleep(0.5)
                os.rename(os.path.join(DIRECTORY, "app.log"), os.path.join(DIRECTORY, "app.log.1"))
                # Into the old one until it is noticed.
                say(file, "file", b"after the renaming\n")
                os.close(file)
                file = new_file("app.log", os.O_APPEND)
            if i == 200:
                os.ftruncate(file, 0)
            say(file, "file", b"line %d\n" % i)
        data = new_file("app.txt")
        say(data, None, b"not a log\n")
        for i in range(50):
            file = new_file("each.log", os.O_APPEND)
            say(file, "file", b"opened for line %d\n" % i)
            os.close(file)
            other = new_file("each.txt", os.O_APPEND)
            say(other, None, b"not a log\n")
            os.close(other)
        # Time to look at what is open.
        time.sleep(1)

    null = os.open("/dev/null", os.O_RDWR)
    wait(child(work, null, null, null))


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind, flags, data=None):
    checked(LIBC.mount(source, target.encode(), kind, ctypes.c_ulong(flags), data))


def own_mounts():
    """From here on this process has mounts of its own: they are nobody else's, and end with it."""
    new_namespace, recursive, private = 0x20000, 0x4000, 1 << 18
    checked(LIBC.unshare(new_namespace))
    mount(None, "/", None, recursive | private)


def append(path, stream, data):
    """Opens a file for one line, as some loggers do."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    say(file, stream, data)
    os.close(file)


def root():
    """A process with a root of its own, where the paths of logs are links, and mean other files than outside."""
    inside = os.path.join(DIRECTORY, "root")
    logs = os.path.join(DIRECTORY, "log")
    for path in [inside + "/data", inside + "/volume", inside + logs, logs]:
        os.makedirs(path)
    os.symlink("/data/app.log", inside + logs + "/app.log")
    os.symlink("../" * 20 + "volume/each.log", inside + logs + "/each.log")
    # The file of that path outside is there inside too, but not by that path: that one is a circle.
    new_file("log/outside.log")
    os.link(logs + "/outside.log", inside + "/data/other")
    os.symlink(logs + "/outside.log", inside + logs + "/outside.log")

    def work():
        own_mounts()
        mount(b"test", inside + "/volume", b"tmpfs", 0)
        os.chroot(inside)
        os.chdir("/")
        kept = os.open(logs + "/app.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        say(kept, "file", b"the first line\n")
        for i in range(20):
            append("/data/other", None, b"not a log\n")
            append(logs + "/each.log", "file", b"opened for line %d\n" % i)
            time.sleep(0.01)
        say(kept, "file", b"the last line\n")
        # Time to look at what is open.
        time.sleep(1)

    null = os.open("/dev/null", os.O_RDWR)
    wait(child(work, null, null, null))


def hang():
    """A file system that never answers is where a log is looked for, until `over` is there."""
    own_mounts()
    where = os.path.join(DIRECTORY, "hang")
    fuse = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0"
    nosuid, nodev = 2, 4
    mount(b"test", where, b"fuse", nosuid | nodev, options.encode())
    append(os.path.join(DIRECTORY, "elsewhere"), None, b"which file is this?\n")
    os.write(1, b"hangs\n")
    while not os.path.exists(os.path.join(DIRECTORY, "over")):
        time.sleep(0.01)


def meanwhile():
    """Lines to a file that is opened for each, until `over` is there."""
    number = 0
    while not os.path.exists(os.path.join(DIRECTORY, "over")):
        append(os.path.join(DIRECTORY, "fine", "each.log"), None, b"line %d\n" % number)
        number += 1
        time.sleep(0.02)


def copiers():
    """Copies of a shell that are called like a container runtime: one is a user's, and one is root's."""

    def run(name, owner, script, expected):
        path = os.path.join(DIRECTORY, name, "containerd")
        os.mkdir(os.path.dirname(path))
        shutil.copy("/bin/sh", path)
        os.chown(path, owner, -1)

        def work():
            if expected:
                expect("stdout", expected)
            os.execv(path, ["containerd", "-c", script])

        through_pipe(work)

    # Time to look at whose it is.
    script = "sleep 1; echo one; echo two; :"
    run("user", 65534, script, b"one\ntwo\n")
    run("root", 0, script, None)


def tee():
    """What is passed on by another process."""
    reading, writing = os.pipe()

    def lines():
        for i in range(200):
            say(1, "stdout", b"line %d\n" % i)
            time.sleep(0.001)

    def pass_on():
        os.execvp("tee", ["tee", os.path.join(DIRECTORY, "copy")])

    output = new_file("output")
    reader = child(pass_on, reading, output)
    os.close(reading)
    writer = child(lines, None, writing)
    os.close(writing)
    wait(writer)
    wait(reader)


def flood():
    """100,000 lines a second, for two seconds; how long the slowest hundred took, in milliseconds."""

    def work():
        total, slowest, begun = 0, 0.0, time.monotonic()
        for batch in range(2000):
            start = time.monotonic()
            for i in range(100):
                total += os.write(1, b"line %07d of a service that has much to say, and says it at once\n" % (100 * batch + i))
            slowest = max(slowest, time.monotonic() - start)
            ahead = begun + (batch + 1) / 1000 - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        took = time.monotonic() - begun
        with open(os.path.join(DIRECTORY, "flood"), "w", encoding="ascii") as out:
            out.write(f"{total} {took} {slowest * 1000}")

    through_pipe(work)


globals()[sys.argv[1]]()
