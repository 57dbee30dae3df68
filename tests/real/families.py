"""Services with processes of their own: `python families.py BEHAVIOUR [ARGUMENT…]`; objects."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import Pyro5.api

SAY = "import os, signal, sys, time\n"
GENTLE = (
    SAY
    + """
def stop(*_):
    print("child: TERM", "first" if os.getppid() == main else "after main", flush=True)
    sys.exit()
main = os.getppid()
signal.signal(signal.SIGTERM, stop)
print("family is up", flush=True)
time.sleep(1000)
"""
)
STUBBORN = (
    SAY
    + """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("family is up", flush=True)
time.sleep(1000)
"""
)


def square(number: int) -> int:
    return number * number


def workers(kind: str) -> Any:
    """Return a pool of processes that has worked; its program tells when its exit handlers run."""
    atexit.register(print, "exit handler", flush=True)
    atexit.register(Path("ended").touch)
    if kind == "pool":
        pool = multiprocessing.Pool(3)
        pool.map(square, range(9))
        return pool
    executor = ProcessPoolExecutor(3)
    list(executor.map(square, range(9)))
    return executor


@Pyro5.api.expose
@Pyro5.api.behavior(instance_mode="single")
class Pool:
    def __init__(self) -> None:
        self._workers = workers("pool")

    def ping(self) -> None:
        """Answer."""


@Pyro5.api.expose
@Pyro5.api.behavior(instance_mode="single")
class Executor:
    def __init__(self) -> None:
        self._workers = workers("executor")

    def ping(self) -> None:
        """Answer."""


def pooled(kind: str) -> None:
    """A program with a pool of processes, which it keeps until a signal ends it in order."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    kept = workers(kind)
    print("family is up", flush=True)
    while kept:
        signal.pause()


def parent(child: str, reaction: str) -> None:
    """A main process with a child; at a stop it `ends`, `waits` for its child, or `ignores` it."""
    process = subprocess.Popen([sys.executable, "-c", {"gentle": GENTLE}.get(child, STUBBORN)])

    def stop(*_: object) -> None:
        print("main: TERM", flush=True)
        if reaction == "waits":
            os.waitid(*ended)
        sys.exit()

    ended = os.P_PID, process.pid, os.WEXITED | os.WNOWAIT
    signal.signal(signal.SIGTERM, signal.SIG_IGN if reaction == "ignores" else stop)
    os.waitid(*ended)
    print("main: my child has ended", flush=True)


def polite(path: str) -> None:
    """Ends when a file exists, which it removes, and on no signal that can be ignored."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("family is up", flush=True)
    while not Path(path).exists():
        time.sleep(0.01)
    Path(path).unlink()


def server(port: str) -> None:
    """Listens at a port, and fails if it is taken."""
    try:
        sock = socket.create_server(("localhost", int(port)))
    except OSError:
        sys.exit(1)
    with sock:
        if os.fork():
            os._exit(3)  # the child has the port
        signal.pause()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
