"""Services of all kinds, for tests: `python zoo.py BEHAVIOUR [ARGUMENT…]`.

Readiness is reported by sd_notify where the docstring mentions it. Imports little to start fast.
"""

import os
import signal
import socket
import sys
import time


def notify(message: str) -> None:
    """Send to NOTIFY_SOCKET, without a library."""
    address = os.environ["NOTIFY_SOCKET"]
    address = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(message.encode(), address)


def wait_for_file(path: str) -> None:
    """Wait for a file that the test creates, the gate."""
    while not os.path.exists(path):  # noqa: PTH110
        time.sleep(0.01)


def serve() -> None:
    print("serving", flush=True)
    while True:
        signal.pause()


def die(code: str = "1", words: str = "cannot find the instrument") -> None:
    print(words, file=sys.stderr, flush=True)
    sys.exit(int(code))


def gate(path: str) -> None:
    """Ready when the gate is open."""
    wait_for_file(path)
    notify("READY=1\nSTATUS=warm\nX_PYRO_URI=PYRO:zoo@localhost:1")
    serve()


def die_at_gate(path: str, code: str = "1") -> None:
    """Ready at once; ends when the gate is open."""
    notify("READY=1")
    wait_for_file(path)
    sys.exit(int(code))


def stubborn() -> None:
    """Ignores SIGTERM, as does its child."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.fork()
    notify("READY=1")
    serve()


def family() -> None:
    """Exits on SIGTERM; its child, in a process group of its own, does not."""
    if os.fork() == 0:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        serve()
    notify("READY=1")
    serve()


def abandon() -> None:
    """Forks a child that outlives the leader and holds the output open."""
    if os.fork() == 0:
        serve()
    notify("READY=1")
    time.sleep(0.2)  # sleep: it serves for a moment
    os._exit(7)


def late_port(port: str, path: str) -> None:
    """Listens once the gate is open."""
    wait_for_file(path)
    with socket.create_server(("localhost", int(port))):
        serve()


def chatter(count: str) -> None:
    for number in range(int(count)):
        print(f"line {number}", flush=number % 1000 == 0)
    print("half a li", end="", flush=True)
    os.write(1, b"ne, and \xff\xfe\x00 bytes\n")
    serve()


def print_identity() -> None:
    import resource

    print("umask", oct(os.umask(0)), "nice", os.getpriority(os.PRIO_PROCESS, 0), flush=True)
    print("nofile", resource.getrlimit(resource.RLIMIT_NOFILE), "cwd", os.getcwd(), flush=True)  # noqa: PTH109
    print("uid", os.getuid(), "gid", os.getgid(), "home", os.environ.get("HOME"), flush=True)
    print("sid is pid", os.getsid(0) == os.getpid(), flush=True)
    notify("READY=1")
    serve()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
