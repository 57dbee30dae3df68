"""Names of the deployment's services can be changed by the deployment only."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from Pyro5.client import Proxy
from Pyro5.errors import NamingError, PyroError

from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Deployment

ES = "Pyro.EventService"
EVIL = "PYRO:evil@127.0.0.1:6666"
TWICE = """
import Pyro5.api

class Stage:
    pass

ns = Pyro5.api.locate_ns()
first, second = Pyro5.api.Daemon(), Pyro5.api.Daemon()
ns.register("stage", first.register(Stage()))
ns.register("stage", second.register(Stage()))
ns.register("stage.z", second.register(Stage()))
print("moved", flush=True)
second.requestLoop()
"""


@pytest.fixture
def ns(deployment: Deployment) -> Iterator[Proxy]:
    script = deployment.root / "twice.py"
    script.write_text(TWICE)
    deployment.configure(
        '[services.ns]\nkind = "nameserver"\nport = 0\n'
        '[services.es]\nkind = "eventservice"\nneeds = ["ns"]\n'
        f'[services.stage]\nkind = "command"\ncommand = ["python", "{script}"]\n'
        'needs = ["ns"]\nready = { log = "moved" }\n'
    )
    deployment.run("start")
    with Proxy(deployment.service("ns")["uri"]) as proxy:
        proxy._pyroTimeout = 20
        yield proxy


def test_a_stranger_changes_no_name_of_a_service(deployment: Deployment, ns: Proxy) -> None:
    """Neither a reserved name nor one that a service has registered itself, one or many at once.

    The same registration again does no harm, and other names are everybody's.
    """
    before = ns.list(return_metadata=True)
    for name in (ES, "stage"):
        for change in (
            lambda name=name: ns.register(name, EVIL),
            lambda name=name: ns.remove(name),
            lambda name=name: ns.set_metadata(name, {"evil"}),
            lambda name=name: ns.remove(prefix=name[:4]),
            lambda name=name: ns.remove(regex=".*" + name[-3:]),
            lambda name=name: ns.remove("Pyro.NameServer", prefix=name[:4]),
            lambda name=name: ns.remove("Pyro.NameServer", regex=name[:4]),
            lambda name=name: ns.register(name, before[name][0], metadata={"evil"}),
        ):
            with pytest.raises(NamingError, match="belongs to a service that pyroctl manages"):
                change()
    for forbidden in (
        lambda: ns.register("Pyro.NameServer", EVIL),
        lambda: ns.set_metadata("Pyro.NameServer", {"evil"}),
    ):
        with pytest.raises(NamingError, match="nobody may change the name"):
            forbidden()
    assert ns.list(return_metadata=True) == before
    if before[ES][1]:
        with pytest.raises(NamingError):
            ns.register(ES, before[ES][0])
    ns.register(ES, before[ES][0], metadata=before[ES][1])
    ns.register("mine.a", EVIL)
    ns.register("mine.b", EVIL)
    ns.register("mine.a", EVIL + "7")
    assert ns.remove(prefix="mine.") == 2
    assert ns.list(return_metadata=True) == before


def test_a_reserved_name_is_nobodys_while_its_service_is_down(
    deployment: Deployment, ns: Proxy
) -> None:
    """The event service gets it back; a name that only a program chose is free then."""
    deployment.run("stop", "es", "stage")
    assert ES not in ns.list()
    with pytest.raises(NamingError, match=ES):
        ns.register(ES, EVIL)
    ns.register("stage", EVIL)
    ns.remove("stage")
    deployment.run("start")
    assert ns.list()[ES] == deployment.service("es")["uri"]


def test_services_change_their_names_when_they_run_and_restart(
    deployment: Deployment, ns: Proxy
) -> None:
    """A program that moves a name to another of its daemons may, and so may the next process."""
    old = ns.list()
    assert old["stage"].partition("@")[2] == old["stage.z"].partition("@")[2]
    os.kill(deployment.service("stage")["pid"], signal.SIGKILL)
    eventually(lambda: ns.list().get("stage.z", old["stage.z"]) != old["stage.z"])
    deployment.run("restart", "es")
    assert ns.list()[ES] == deployment.service("es")["uri"]


def test_nobody_takes_a_name_while_the_name_server_restarts(
    deployment: Deployment, ns: Proxy
) -> None:
    """Not even a stranger that tries without pause, and is the first client of the new process."""
    before = ns.list()["stage"]
    stopped = threading.Event()

    def squat() -> int:
        won = 0
        while not stopped.is_set():
            with contextlib.suppress(PyroError), Proxy(ns._pyroUri) as stranger:
                stranger._pyroTimeout = 20
                stranger.register("stage", EVIL)
                won += 1
        return won

    with ThreadPoolExecutor(1) as squatters:
        try:
            squatter = squatters.submit(squat)
            deployment.run("restart", "ns", "--yes")
        finally:
            stopped.set()
        assert squatter.result() == 0
    ns._pyroReconnect()
    assert ns.list()["stage"] == before


def test_a_stranger_has_no_name_guarded_by_giving_a_service_s_address(
    deployment: Deployment, ns: Proxy
) -> None:
    """Such a name stays everybody's, also after the name server and the manager have restarted."""
    stage, es = ns.lookup("stage"), ns.lookup(ES)
    ns.register("mine.stage", stage)
    ns.register("mine.es", es)
    ns.register("mine.es", es)
    for again in ((), ("restart", "ns", "--yes"), ("reexec",)):
        if again:
            deployment.run(*again)
            ns._pyroReconnect()
        assert {"mine.stage", "mine.es"} <= ns.list().keys()
        ns.register("mine.stage", EVIL)
        ns.set_metadata("mine.es", {again[0] if again else ""})
        with pytest.raises(NamingError):
            ns.register("stage", EVIL)
        ns.register("mine.stage", stage)
    assert ns.remove(prefix="mine.") == 2


def test_without_an_answer_of_the_manager_a_name_stays(deployment: Deployment, ns: Proxy) -> None:
    """A manager that hangs vouches for nobody."""
    manager = deployment.manager_pid()
    os.kill(manager, signal.SIGSTOP)
    try:
        with pytest.raises(NamingError, match="stage"):
            ns.remove("stage")
    finally:
        os.kill(manager, signal.SIGCONT)
    assert "stage" in ns.list()
