"""The main job: a name server and an event service under a manager, and events that flow."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import Pyro5.api
import pytest

from pyro_events import EVENTSERVICE_NAME, Event, Publisher, Subscriber
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

PAIR = """\
[services.ns]
kind = "nameserver"
port = 0

[services.es]
kind = "eventservice"
needs = ["ns"]
restart_delay = 0
"""


class Quotes(Subscriber):
    """Keeps the events."""

    def __init__(self, es: str) -> None:
        super().__init__(es)
        self.got: list[tuple[str, Any]] = []

    def event(self, event: Event) -> None:
        self.got.append((event.subject, event.msg))


def lookup(deployment: Deployment) -> str:
    """Return the event service's URI as the deployment's name server knows it."""
    location = deployment.service("ns")["uri"].rpartition("@")[2]
    host, _, port = location.rpartition(":")
    with Pyro5.api.locate_ns(host, int(port)) as ns:
        return str(ns.lookup(EVENTSERVICE_NAME))


def exchange(uri: str) -> None:
    """Send a quote from a publisher to a subscriber through the event service."""
    with Quotes(uri) as quotes, Publisher(uri) as publisher:
        quotes.subscribe("StockQuotes")
        listener = threading.Thread(target=quotes.listen)
        listener.start()
        publisher.publish("stockquotes", ("SUN", 22.44))
        try:
            eventually(lambda: quotes.got)
        finally:
            quotes.abort()
            listener.join(10)
    assert quotes.got == [("stockquotes", ("SUN", 22.44))]


def test_quotes_flow_through_what_start_has_started(deployment: Deployment) -> None:
    """After `start` returns the name server knows the event service, and events flow."""
    deployment.configure(PAIR)
    deployment.run("start", "es")
    ns, es = deployment.service("ns"), deployment.service("es")
    assert (ns["state"], es["state"]) == ("running", "running")
    assert ns["uri"].startswith("PYRO:Pyro.NameServer@localhost:")
    assert es["uri"] == lookup(deployment)
    exchange(es["uri"])
    numbers = deployment.service("es")["es"]
    assert numbers["published"] == numbers["delivered"] == 1
    assert (numbers["dropped"], len(numbers["incarnation"]) > 8) == (0, True)


def test_after_a_restart_or_a_crash_the_event_service_is_found_again(
    deployment: Deployment,
) -> None:
    """Restarted on command or killed: registered, another incarnation, events flow."""
    deployment.configure(PAIR)
    deployment.run("start")
    first = deployment.service("es")
    deployment.run("restart", "es")
    second = deployment.service("es")
    exchange(lookup(deployment))
    os.kill(second["pid"], signal.SIGKILL)
    third = eventually(
        lambda: (r := deployment.service("es"))["state"] == "running" and r["restarts"] == 1 and r
    )
    assert third["uri"] == lookup(deployment)
    exchange(third["uri"])
    incarnations = {row["es"]["incarnation"] for row in (first, second)}
    incarnations.add(deployment.service("es")["es"]["incarnation"])
    assert len(incarnations) == 3


def test_a_restarted_name_server_knows_the_event_service(deployment: Deployment) -> None:
    """A name server with memory storage forgets all; the event service's name is restored."""
    deployment.configure(PAIR)
    deployment.run("start")
    pid = deployment.service("es")["pid"]
    deployment.run("restart", "ns")
    assert lookup(deployment) == deployment.service("es")["uri"]
    assert deployment.service("es")["pid"] == pid
    before = deployment.manager_log().count("registered again")
    os.kill(deployment.service("ns")["pid"], signal.SIGKILL)
    eventually(lambda: deployment.service("ns")["restarts"] == 1)
    eventually(lambda: deployment.state("ns") == "running")
    eventually(lambda: deployment.manager_log().count("registered again") > before)
    assert lookup(deployment) == deployment.service("es")["uri"]


def test_a_busy_port_is_an_error_with_a_hint(deployment: Deployment) -> None:
    """Never another port: exit 1, the port named, and a hint."""
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        deployment.configure(f'[services.ns]\nkind = "nameserver"\nport = {port}\n')
        failed = deployment.run("start", code=1)
        assert str(port) in failed.stderr
        assert "another port" in failed.stderr
        deployment.configure(
            PAIR.replace('kind = "eventservice"', f'kind = "eventservice"\nport = {port}')
        )
        failed = deployment.run("start", code=1)
        assert str(port) in failed.stderr


def test_a_command_of_the_deployment_finds_its_name_server(deployment: Deployment) -> None:
    """Pyro5's own variables lead a service to the name server; readiness by name sees it there."""
    script = (
        "import Pyro5.api as p; M = p.expose(type('M', (), {'price': lambda self: 1}));"
        "d = p.Daemon(); p.locate_ns().register('stocks.market', d.register(M)); d.requestLoop()"
    )
    deployment.configure(
        PAIR + '[services.market]\nkind = "command"\nneeds = ["ns"]\n'
        f'command = ["python", "-c", "{script}"]\nready = {{ pyro_name = "stocks.market" }}\n'
    )
    deployment.run("start", "market")
    assert deployment.state("market") == "running"


def test_without_any_configuration_the_built_in_deployment_runs(deployment: Deployment) -> None:
    """`pyroctl start` in an empty directory: name server on 9090 and event service."""
    with socket.socket() as probe:
        if probe.connect_ex(("localhost", 9090)) == 0:
            pytest.skip("something else listens on port 9090 here")
    deployment.run("start")
    assert deployment.service("ns")["uri"] == "PYRO:Pyro.NameServer@localhost:9090"
    exchange(lookup(deployment))
