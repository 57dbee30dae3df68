"""Warnings before a stop or restart: what clients would lose, and the question."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import Pyro5.api
import pytest

from tests.harness import BIN, eventually
from tests.real.test_main_job import PAIR, Quotes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Deployment


class Plain:
    """A subscriber without notices."""

    @Pyro5.api.expose  # type: ignore[untyped-decorator] # Pyro5 ships no types
    def event(self, event: Any) -> None:
        pass


@contextlib.contextmanager
def plain_subscriber(es: str) -> Iterator[str]:
    """Subscribe a stock Pyro5 object and return its URI."""
    with Pyro5.api.Daemon("localhost") as daemon, Pyro5.api.Proxy(es) as service:
        uri = str(daemon.register(Plain()))
        thread = threading.Thread(target=daemon.requestLoop)
        thread.start()
        try:
            service.subscribe(["cars", "lorries"], uri)
            service.subscribeMatch("b.*", uri)
            yield uri
        finally:
            daemon.shutdown()
            thread.join(10)


@contextlib.contextmanager
def aware_subscriber(es: str) -> Iterator[Quotes]:
    """Subscribe a helper that listens."""
    with Quotes(es) as quotes:
        quotes.subscribe("quotes")
        thread = threading.Thread(target=quotes.listen)
        thread.start()
        try:
            yield quotes
        finally:
            quotes.abort()
            thread.join(10)


@pytest.fixture
def es(deployment: Deployment) -> str:
    """Return the URI of a running event service."""
    deployment.configure(PAIR)
    deployment.run("start")
    return str(deployment.service("es")["uri"])


def on_a_terminal(deployment: Deployment, answer: str, *args: str) -> tuple[int, str]:
    """Run a command on a terminal with an answer to its question."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [BIN / "pyroctl", "--root", deployment.root, *args],
        env=deployment.env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        os.write(master, answer.encode() + b"\n")
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's other end is closed
            while data := os.read(master, 4096):
                shown += data
        process.wait(20)
    os.close(master)
    return process.returncode, shown.decode()


def test_a_restart_lists_what_plain_subscribers_lose_and_counts_the_aware(
    deployment: Deployment, es: str
) -> None:
    """Without a terminal it warns, proceeds, and reports how many were notified."""
    with plain_subscriber(es) as uri, aware_subscriber(es):
        restarted = deployment.run("restart", "es")
        assert f"{uri}: cars, lorries, /b.*/" in restarted.stderr
        assert "aware subscribers of es that will be notified: 1" in restarted.stderr
        assert "1 aware subscriber notified, 1 returned, 1 plain one lost" in restarted.stderr
        (again,) = deployment.json("restart", "es")["data"]["restarts"]
    assert (again["service"], again["how"], again["lost"], again["carried"]) == (
        "es",
        "notify",
        [],
        0,
    )
    assert (again["notified"], again["resubscribed"]) == (1, 1)


def test_the_json_of_a_restart_names_the_lost(deployment: Deployment, es: str) -> None:
    """`lost` has the subscriber with its subjects and patterns."""
    with plain_subscriber(es) as uri:
        (entry,) = deployment.json("restart", "es")["data"]["restarts"]
    assert entry["lost"] == [
        {"subscriber": uri, "subjects": ["cars", "lorries"], "patterns": ["b.*"]}
    ]
    assert (entry["notified"], entry["resubscribed"]) == (0, 0)


@pytest.mark.parametrize("command", [("restart", "es"), ("stop",), ("stop", "ns"), ("shutdown",)])
def test_safe_refuses_and_changes_nothing(
    deployment: Deployment, es: str, command: tuple[str, ...]
) -> None:
    """--safe exits with 1 and keeps the process; without subscribers it proceeds."""
    pid = deployment.service("es")["pid"]
    with plain_subscriber(es):
        refused = deployment.run(*command, "--safe", code=1)
        assert "lose" in refused.stderr
        assert deployment.json(*command, "--safe", code=1)["errors"][0]["code"] == "declined"
        assert deployment.service("es")["pid"] == pid
    with Pyro5.api.Proxy(es) as service:
        for row in service.subscriptions():
            service.unsubscribe([*row["subjects"], *row["patterns"]], row["subscriber"])
    deployment.run(*command, "--safe")


def test_on_a_terminal_the_user_is_asked(deployment: Deployment, es: str) -> None:
    """No exits with 1 and changes nothing; yes, --yes or no subscribers proceed."""
    pid = deployment.service("es")["pid"]
    with plain_subscriber(es):
        code, shown = on_a_terminal(deployment, "n", "restart", "es")
        assert (code, "restart anyway?" in shown) == (1, True)
        assert "nothing was changed" in shown
        assert deployment.service("es")["pid"] == pid
        code, shown = on_a_terminal(deployment, "y", "restart", "es")
        assert (code, deployment.service("es")["pid"] != pid) == (0, True)
    with plain_subscriber(es):
        code, shown = on_a_terminal(deployment, "", "restart", "es", "--yes")
        assert (code, "anyway?" in shown) == (0, False)
    code, shown = on_a_terminal(deployment, "", "restart", "es")
    assert (code, "anyway?" in shown) == (0, False)


def test_on_a_terminal_a_handover_is_offered_instead(deployment: Deployment, es: str) -> None:
    """The answer h keeps the plain subscriber; other commands, and --notify, don't offer it."""
    offer = "restart anyway? [y]es, [h]andover, which loses nothing, [N]o"
    with plain_subscriber(es) as uri:
        pid = deployment.service("es")["pid"]
        code, shown = on_a_terminal(deployment, "h", "restart", "es")
        assert (code, offer in shown, "handed over with 1 subscriber" in shown) == (0, True, True)
        assert deployment.service("es")["pid"] != pid
        with Pyro5.api.Proxy(es) as service:
            assert [row["subscriber"] for row in service.subscriptions()] == [uri]
        for words in (
            ["stop", "es"],
            ["shutdown"],
            ["restart", "es", "--notify"],
            ["restart", "ns"],
        ):
            code, shown = on_a_terminal(deployment, "", *words)
            assert "[h]andover" not in shown


def test_without_a_terminal_the_warning_names_the_handover(deployment: Deployment, es: str) -> None:
    """It can be pasted; --safe names it as the way to go on."""
    command = f"pyroctl --root {deployment.root} restart es --handover"
    with plain_subscriber(es):
        refused = deployment.run("restart", "es", "--safe", code=1).stderr
        assert f"a handover loses nothing: {command}\n" in refused
        assert f"a handover loses nothing: {command}\n" in deployment.run("restart", "es").stderr
    with plain_subscriber(es):
        assert "a handover" not in deployment.run("stop", "es").stderr


def test_a_name_servers_names_are_warned_of_but_not_those_that_come_back(
    deployment: Deployment, es: str
) -> None:
    """Foreign names in memory are listed, but not that of the event service."""
    host, _, port = deployment.service("ns")["uri"].rpartition("@")[2].rpartition(":")
    with Pyro5.api.locate_ns(host, int(port)) as ns:
        ns.register("stocks.market", "PYRO:market@localhost:4711")
    warned = deployment.run("restart", "ns").stderr
    assert "    stocks.market\n" in warned
    assert "Pyro.EventService\n" not in warned
    assert "will be lost" not in deployment.run("restart", "ns").stderr


def test_a_service_that_chose_its_port_comes_back_on_it(deployment: Deployment, es: str) -> None:
    """After a restart and after a crash, both services keep their addresses."""
    before = [deployment.service(name)["uri"] for name in ("ns", "es")]
    deployment.run("restart", "ns", "es")
    assert [deployment.service(name)["uri"] for name in ("ns", "es")] == before
    for name in ("ns", "es"):
        os.kill(deployment.service(name)["pid"], signal.SIGKILL)
    eventually(
        lambda: all(
            (row := deployment.service(name))["state"] == "running" and row["restarts"] == 1
            for name in ("ns", "es")
        )
    )
    assert [deployment.service(name)["uri"] for name in ("ns", "es")] == before
