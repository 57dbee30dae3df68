"""A name server with TLS: for stock clients, for the services of its deployment, and renewed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from Pyro5.api import Proxy

from pyro_events import Publisher
from pyro_events._client.tls_proxy import bind
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events.errors import Unreachable
from pyro_wire.tls.certificate import read_certificate
from pyro_wire.tls.files import TlsFiles, load_client
from tests.harness import Deployment, eventually
from tests.tls import of_file

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

CONFIG = """
[services.ns]
kind = "nameserver"
port = 0
tls = "MODE"
watchdog = { every = 0.2 }

[services.es]
kind = "eventservice"
needs = ["ns"]
tls = "both"

[services.thing]
kind = "object"
object = "shelf:Thing"
pyro_name = "thing"
needs = ["ns"]
tls = "both"

[services.safe]
kind = "object"
object = "shelf:Thing"
pyro_name = "safe"
needs = ["ns"]
tls = "required"
servertype = "multiplex"
watchdog = { every = 0.2 }

[services.named]
kind = "command"
command = ["sleep", "1000"]
ready = { pyro_name = "thing" }
needs = ["ns", "thing"]
watchdog = { every = 0.2 }
"""
MODULE = """
import Pyro5.api

@Pyro5.api.expose
class Thing:
    def answer(self):
        return 42
"""
STOCK = """
import sys
import Pyro5.api

host, port, folder = sys.argv[1:]
if folder:
    Pyro5.config.SSL = True
    Pyro5.config.SSL_CACERTS = f"{folder}/ca.pem"
    Pyro5.config.SSL_CLIENTCERT = f"{folder}/cert.pem"
    Pyro5.config.SSL_CLIENTKEY = f"{folder}/key.pem"
try:
    with Pyro5.api.locate_ns(host, int(port)) as ns:
        print(sorted(ns.list()))
        if folder:
            with Pyro5.api.Proxy(ns.lookup("safe")) as safe:
                print(safe.answer())
except Pyro5.errors.PyroError as error:
    print(type(error).__name__, error, error.__cause__)
"""
HELPERS = """
from pyro_events import Publisher, Subscriber

class Ear(Subscriber):
    def event(self, event):
        print(event.msg)
        self.close()


with Publisher(tls=True) as publisher, Ear(tls=True) as ear:
    ear.subscribe("a")
    publisher.publish("a", 1)
    ear.listen()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All kinds of services, with a name server that accepts only TLS."""
    deployment = Deployment(tmp_path_factory.mktemp("lab"))
    deployment.run("certs", "init", "lab")
    deployment.run("certs", "server", "localhost", "127.0.0.1")
    deployment.run("certs", "client", "tablet")
    (deployment.root / "shelf.py").write_text(MODULE)
    deployment.configure(CONFIG.replace("MODE", "required"))
    deployment.run("start")
    yield deployment
    deployment.close()


def address(lab: Deployment) -> tuple[str, int]:
    host, _, port = lab.service("ns")["uri"].rpartition("@")[2].rpartition(":")
    return host, int(port)


def stock(lab: Deployment, name: str | None) -> str:
    """Return what a stock client prints, with the certificate of a name."""
    host, port = address(lab)
    directory = folder(lab, name) if name else ""
    done = subprocess.run(
        [sys.executable, "-c", STOCK, host, str(port), directory],
        env=lab.env,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout or done.stderr


def folder(lab: Deployment, name: str) -> str:
    return str(lab.root / "certs" / "issued" / name)


@contextlib.contextmanager
def connected(lab: Deployment, directory: str, *names: str) -> Iterator[list[ssl.SSLSocket]]:
    """Connect to these services."""
    identity = load_client(TlsFiles.in_directory(directory))
    proxies = [Proxy(lab.service(name)["uri"]) for name in names]
    for proxy in proxies:
        bind(proxy, proxy._pyroUri, identity, 20)
    yield [proxy._pyroConnection.sock for proxy in proxies]
    for proxy in proxies:
        proxy._pyroRelease()


def end(sock: ssl.SSLSocket, seconds: float = 0.2) -> bool:
    """Return whether the other side has ended the connection."""
    sock.settimeout(seconds)
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def refusals(lab: Deployment) -> int:
    return lab.run("logs", "ns").stdout.count("refused")


def shown(lab: Deployment) -> bytes:
    """Return the certificate that the name server shows to a client."""
    context = load_client(TlsFiles.in_directory(folder(lab, "tablet"))).context
    with (
        socket.create_connection(address(lab)) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return der


PLAIN = "['Pyro.EventService', 'Pyro.NameServer', 'safe', 'thing']\n"
NAMES = PLAIN + "42\n"
"""With the answer of an object that accepts only TLS."""


def test_all_services_register_over_tls(lab: Deployment) -> None:
    """Event service, object and a wait for a name; a stock client with a certificate sees them."""
    assert {row["name"]: row["state"] for row in lab.status()["services"]} == {
        "ns": "running", "es": "running", "thing": "running", "safe": "running", "named": "running",
    }  # fmt: skip
    assert stock(lab, "tablet") == NAMES
    before, now = refusals(lab), lab.service("ns")["uptime_s"]
    for name in ("ns", "safe"):  # the watchdog speaks TLS, too
        eventually(lambda name=name: lab.service(name)["uptime_s"] > now + 1)
        assert lab.service(name)["restarts"] == 0
    assert refusals(lab) == before


def test_helpers_look_up_over_tls(lab: Deployment) -> None:
    """In the environment of `pyroctl exec`, `tls=True` is enough to find everything."""
    assert lab.run("exec", "--", sys.executable, "-c", HELPERS).stdout == "1\n"


def test_a_plain_client_reads_why(lab: Deployment) -> None:
    """It gets an answer in Pyro's protocol; one of another sort is refused without harm."""
    assert "only clients with TLS are accepted here" in stock(lab, None)
    host, port = address(lab)
    with (
        Publisher(f"PYRONAME:{EVENTSERVICE_NAME}@{host}:{port}", timeout=2) as publisher,
        pytest.raises(Unreachable, match="accepts only clients with TLS: give the helper tls="),
    ):
        publisher.publish("a", 1)
    with socket.create_connection(address(lab)) as sock:
        sock.sendall(b"\x16\x03\x01 this is not TLS")
        sock.settimeout(20)
        with pytest.raises(ConnectionError):
            while sock.recv(4096):
                pass
            raise ConnectionError
    assert stock(lab, "tablet") == NAMES


def test_a_removed_client_and_a_renewed_certificate(lab: Deployment) -> None:
    """Both count for the next connection, without a restart."""
    pid = lab.service("ns")["pid"]
    lab.run("certs", "client", "phone")
    kept = lab.root / "phone"
    (lab.root / "certs" / "issued" / "phone").rename(kept)
    assert stock(lab, str(kept)) == NAMES
    with (
        connected(lab, str(kept), "ns", "safe") as removed,
        connected(lab, folder(lab, "tablet"), "ns", "safe") as stays,
    ):
        lab.run("certs", "remove", "phone")
        stock(lab, "tablet")  # the next client
        assert [end(sock) for sock in removed] == [True, True]
        assert [end(sock) for sock in stays] == [False, False]
    assert "the certificate (phone) was removed on" in stock(lab, str(kept))
    before = shown(lab)
    lab.run("certs", "renew", "localhost")
    after = shown(lab)
    file = lab.root / "certs" / "issued" / "localhost" / "cert.pem"
    assert before != after
    assert read_certificate(after) == of_file(Path(file))
    assert lab.service("ns")["pid"] == pid


def test_a_reload_disconnects_a_removed_client(lab: Deployment) -> None:
    """At once, by an object that no other client uses."""
    lab.run("certs", "client", "radio")
    with connected(lab, folder(lab, "radio"), "thing") as removed:
        lab.run("certs", "remove", "radio")
        assert [end(sock) for sock in removed] == [False]
        lab.run("reload")
        assert [end(sock, 20) for sock in removed] == [True]


def test_plain_and_tls_at_the_same_port(lab: Deployment) -> None:
    """For the days of changing over; the services then register without TLS."""
    lab.configure(CONFIG.replace("MODE", "both"))
    lab.run("reload")
    eventually(lambda: stock(lab, "tablet") == NAMES)
    assert stock(lab, None) == PLAIN
    lab.configure(CONFIG.replace("MODE", "required"))
    lab.run("reload")
    eventually(lambda: stock(lab, "tablet") == NAMES)
