"""No more descriptors, processes or memory, for a running process."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import Pyro5.api
from Pyro5.errors import PyroError

from tests.faults.fault import Effect, Fault, Skip
from tests.faults.scene import services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from tests.faults.scene import Scene

PIDS = Path("/sys/fs/cgroup/pids")
_CLIENTS = 60
_MIB = 1 << 20


@contextlib.contextmanager
def limited(pid: int, what: int, soft: int) -> Iterator[None]:
    """Lower a limit of a running process for a while."""
    before, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (soft, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, what, (before, hard))


def no_descriptors(role: str) -> Callable[[Scene, Random], Effect]:
    """Return a fault that leaves a service none while many clients come."""

    def inject(scene: Scene, chance: Random) -> Effect:
        pid = scene.pids()[role]
        used = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - text
        row = services(scene).get(role, {"uri": None})
        with contextlib.ExitStack() as stack:
            stack.enter_context(limited(pid, resource.RLIMIT_NOFILE, used + 1))
            for _ in range(_CLIENTS if row["uri"] else 0):
                stack.enter_context(_connection(row["uri"]))
            if role == "manager":
                with contextlib.suppress(AssertionError):
                    scene.deployment.run("status", code=None)
                scene.kill("counter")
            time.sleep(chance.uniform(0.2, 1.0))
        if role == "manager":
            scene.start()
        return Effect(frozenset({"counter"}) if role == "manager" else frozenset())

    return inject


def _connection(uri: str) -> socket.socket:
    host, _, port = uri.rpartition("@")[2].rpartition(":")
    return socket.create_connection((host, int(port)), 5.0)


def no_memory(scene: Scene, _chance: Random) -> Effect:
    """Grant the event service 16 MiB more, and send it 120 to keep."""
    pid = scene.pids()["es"]
    status = Path(f"/proc/{pid}/status").read_text()
    size = int(status.partition("VmSize:")[2].split()[0]) << 10
    uri = services(scene)["es"]["uri"]
    hoarders = [f"PYRO:nobody{number}@localhost:9" for number in range(8)]
    with limited(pid, resource.RLIMIT_AS, size + 16 * _MIB):
        for hoarder in hoarders:
            with contextlib.suppress(PyroError, OSError, MemoryError), _proxy(scene, uri) as es:
                es.subscribe("hoard", hoarder)
                for number in range(3):
                    es.publish("hoard", str(number) * (5 * _MIB))
    for hoarder in hoarders:
        with contextlib.suppress(PyroError, OSError), _proxy(scene, uri) as es:
            es.unsubscribe("hoard", hoarder)
    return Effect(frozenset({"es"}))


def _proxy(scene: Scene, uri: str) -> Pyro5.api.Proxy:
    proxy = scene.security.proxy(Pyro5.api.Proxy(uri))
    proxy._pyroTimeout = 5
    return proxy


@contextlib.contextmanager
def _no_new_process(scene: Scene) -> Iterator[None]:
    group = PIDS / f"faults-{os.getpid()}"
    procs = group / "cgroup.procs"
    try:
        group.mkdir()
    except OSError as error:
        raise Skip("needs root and the pids controller of cgroup v1") from error
    try:
        for pid in scene.pids().values():
            procs.write_text(str(pid))
        now = int((group / "pids.current").read_text())
        (group / "pids.max").write_text(str(now - 5))  # what ends leaves no place, either
        yield
    finally:
        for member in procs.read_text().split():
            with contextlib.suppress(OSError):
                (PIDS / "cgroup.procs").write_text(member)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.05)


def no_processes(scene: Scene, chance: Random) -> Effect:
    """Kill a service while nothing can be started, and let it be possible again."""
    with _no_new_process(scene):
        scene.killed("ticker")
        scene.deployment.run("restart", "counter", code=None)
        time.sleep(chance.uniform(0.1, 1.0))
    scene.start()
    return Effect(frozenset({"ticker", "counter"}))


FAULTS = [
    *(
        Fault(f"no more descriptors for {role}", no_descriptors(role), quick=role == "es", most=20)
        for role in ("es", "ns", "counter", "manager", "fdstore")
    ),
    Fault("no more memory for es", no_memory, most=1),  # ten unreachable callbacks bar their owner
    Fault("no more processes", no_processes, most=20),
]
