"""All services and clients recover: after crashes, and after the manager was killed."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import Pyro5.api

from pyro_events import Publisher
from tests.harness import eventually, is_alive
from tests.real.test_main_job import PAIR, Quotes
from tests.real.test_start_and_stop import service
from tests.real.test_warnings import aware_subscriber, plain_subscriber

if TYPE_CHECKING:
    from tests.harness import Deployment

MARKET = (
    "import Pyro5.api as p; M = p.expose(type('M', (), {'price': lambda self: 1}));"
    "d = p.Daemon(); n = p.locate_ns();"
    "n.register('stocks.market', d.register(M), metadata={'fast'}); d.requestLoop()"
)
WITH_MARKET = (
    PAIR + '[services.market]\nkind = "command"\nneeds = ["ns"]\n'
    f'command = ["python", "-c", "{MARKET}"]\nready = {{ pyro_name = "stocks.market" }}\n'
)


def name_server(deployment: Deployment) -> Pyro5.api.Proxy:
    host, _, port = deployment.service("ns")["uri"].rpartition("@")[2].rpartition(":")
    return Pyro5.api.locate_ns(host, int(port))


def deliver(publisher: Publisher, quotes: Quotes, message: str) -> None:
    """Publish an event, and wait until the subscriber has it."""
    publisher.publish("quotes", message)
    eventually(lambda: ("quotes", message) in quotes.got, message)


def test_lost_subscribers_are_named_until_the_next_restart(deployment: Deployment) -> None:
    """Status lists plain ones by name, also in JSON; aware ones reconnect by themselves."""
    deployment.configure(PAIR)
    deployment.run("start")
    es = deployment.service("es")["uri"]
    assert deployment.service("es")["es"]["lost"] == []
    with plain_subscriber(es) as plain, aware_subscriber(es) as quotes, Publisher(es) as publisher:
        deliver(publisher, quotes, "before")
        os.kill(deployment.service("es")["pid"], signal.SIGKILL)
        row = eventually(
            lambda: (r := deployment.service("es"))["state"] == "running" and r["restarts"] and r
        )
        assert row["es"]["lost"] == [
            {"subscriber": plain, "subjects": ["cars", "lorries"], "patterns": ["b.*"]}
        ]
        shown = deployment.run("status").stdout
        assert "es: 1 plain subscriber was lost in a crash:" in shown
        assert f"    {plain}: cars, lorries, /b.*/" in shown
        deliver(publisher, quotes, "after")
        deployment.run("restart", "es", "--yes")
        assert deployment.service("es")["es"]["lost"] == []
        deliver(publisher, quotes, "restarted")


def test_name_server_and_event_service_are_restarted_together(deployment: Deployment) -> None:
    """After one command, or if both are killed, aware subscribers and the name are back."""
    deployment.configure(PAIR)
    deployment.run("start")
    es = deployment.service("es")["uri"]
    with aware_subscriber(es) as quotes, Publisher(es) as publisher:
        deliver(publisher, quotes, "before")
        envelope = deployment.json("restart", "ns", "es")
        counts = [(e.get("notified"), e.get("resubscribed")) for e in envelope["data"]["restarts"]]
        assert counts == [(None, None), (1, 1)]
        deliver(publisher, quotes, "between")
        for name in ("ns", "es"):
            os.kill(deployment.service(name)["pid"], signal.SIGKILL)
        deliver(publisher, quotes, "after")
    with name_server(deployment) as ns:
        eventually(lambda: "Pyro.EventService" in ns.list())


def test_clients_outlive_their_manager(deployment: Deployment) -> None:
    """A killed manager is started again at once, and clients find all through the name server.

    The event service has another port then; what was left of the old services has ended first.
    """
    with socket.create_server(("localhost", 0)) as probe:
        port = probe.getsockname()[1]
    deployment.configure(PAIR.replace("port = 0", f"port = {port}"))
    deployment.run("start")
    pids = [deployment.service(name)["pid"] for name in ("ns", "es")]
    where = f"PYRONAME:Pyro.EventService@localhost:{port}"
    with aware_subscriber(where) as quotes, Publisher(where) as publisher:
        deliver(publisher, quotes, "before")
        deployment.kill_manager()
        deployment.run("start")
        assert not any(is_alive(pid) for pid in pids)
        eventually(lambda: (deployment.service("es")["es"] or {}).get("subscribers") == 1)
        deliver(publisher, quotes, "after")
    deployment.was_killed = False


def test_a_manager_waits_for_what_a_killed_one_has_left(deployment: Deployment) -> None:
    """A service that ignores TERM never runs twice, however soon the next manager starts."""
    deployment.configure(service("mule", "stubborn", more="stop_timeout = 1"))
    deployment.run("start")
    old = deployment.service("mule")["pid"]
    deployment.kill_manager()
    deployment.run("start")
    assert not is_alive(old)
    assert len([c for c in deployment.processes().values() if "zoo.py" in c]) == 2
    deployment.was_killed = False


def test_a_commands_name_is_restored_in_a_new_name_server(deployment: Deployment) -> None:
    """The name that makes it ready returns with its metadata, after a crash and after a restart."""
    deployment.configure(WITH_MARKET)
    deployment.run("start")
    with name_server(deployment) as ns:
        before = ns.lookup("stocks.market", return_metadata=True)
        ns.register("foreign", "PYRO:x@localhost:1")
    output = deployment.run("restart", "ns").stderr
    assert "    foreign\n" in output
    assert "stocks.market" not in output
    with name_server(deployment) as ns:
        assert ns.lookup("stocks.market", return_metadata=True) == before
        assert "foreign" not in ns.list()
    os.kill(deployment.service("ns")["pid"], signal.SIGKILL)
    eventually(lambda: (r := deployment.service("ns"))["state"] == "running" and r["restarts"])
    with name_server(deployment) as ns:
        eventually(lambda: "stocks.market" in ns.list())
        assert ns.lookup("stocks.market", return_metadata=True) == before
    assert deployment.service("market")["restarts"] == 0


def test_events_wait_while_the_event_service_is_restarted(deployment: Deployment) -> None:
    """The events of a publisher arrive once and in order through five restarts."""
    deployment.configure(PAIR)
    deployment.run("start")
    es = deployment.service("es")["uri"]
    sent = 0
    over = threading.Event()

    def publish() -> None:
        nonlocal sent
        with Publisher(es) as publisher:
            while not over.wait(0.001):
                publisher.post("quotes", sent)
                sent += 1
            publisher.flush()

    with aware_subscriber(es) as quotes:
        publishing = threading.Thread(target=publish)
        publishing.start()
        try:
            for _ in range(5):
                (entry,) = deployment.json("restart", "es")["data"]["restarts"]
                assert (entry["notified"], entry["resubscribed"]) == (1, 1)
        finally:
            over.set()
            publishing.join(20)
        eventually(lambda: len(quotes.got) >= sent)
        assert [message for _, message in quotes.got] == list(range(sent))
