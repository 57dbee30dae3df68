"""An event service with TLS under the real manager: its keys, its commands, and reloads."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pyro_events import Publisher
from pyro_events.errors import Refused
from tests.events.client_fixtures import Recording
from tests.events.service_harness import Process
from tests.harness import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Deployment

ES = """
[services.ns]
kind = "nameserver"
port = 0
broadcast = false

[services.es]
kind = "eventservice"
needs = ["ns"]
tls = "required"
tls_certificate = "certs/issued/es/cert.pem"
on_restart = "handover"
"""
STOCK = """
import sys, threading
import Pyro5.api
uri, ca, certificate, key = sys.argv[1:]
Pyro5.config.SSL_CACERTS = ca
Pyro5.config.SSL_CLIENTCERT, Pyro5.config.SSL_CLIENTKEY = certificate, key
Pyro5.config.SSL = True
with Pyro5.api.Proxy(uri) as es:
    es._pyroBind()
    print("connected", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def lab(deployment: Deployment) -> Deployment:
    """A deployment with the certificates of a server and two clients, and its event service up."""
    deployment.run("certs", "init", "lab")
    deployment.run("certs", "server", "localhost", "--name", "es")
    for name in ("camera", "stage"):
        deployment.run("certs", "client", name)
    deployment.configure(ES)
    deployment.run("start")
    return deployment


def folder(deployment: Deployment, name: str) -> Path:
    return deployment.root / "certs" / "issued" / name


def test_commands_use_tls_and_a_reload_removes(lab: Deployment, tmp_path: Path) -> None:
    """`es publish` works as before; a removed client is disconnected by `reload`, others stay."""
    uri = lab.service("es")["uri"]
    removed = str(shutil.copytree(folder(lab, "camera"), tmp_path / "copy"))
    with (
        Recording(uri, tls=str(folder(lab, "stage"))) as stays,
        Recording(uri, tls=removed) as goes,
    ):
        for each in (stays, goes):
            each.subscribe("a")
            each.start()
        lab.run("es", "publish", "a", "hello")
        assert stays.wait(1) == goes.wait(1) == ["hello"]
        lab.run("certs", "remove", "camera")
        lab.run("reload")
        eventually(lambda: "disconnected" in goes.hook_names())
        lab.run("es", "publish", "a", "again")
        assert stays.wait(2) == ["hello", "again"]
        assert stays.hook_names() == ["connected"]
    with pytest.raises(Refused, match="was removed on"), Publisher(uri, tls=removed) as publisher:
        publisher.publish("a", 1)
    tls = lab.service("es")["es"]["tls"]
    assert (tls["mode"], tls["name"]) == ("required", "es")


def test_who_loses_a_connection_in_a_handover_is_named(lab: Deployment) -> None:
    """A stock client with TLS can't be passed on: `--safe` refuses, and helpers don't count."""
    uri, files = lab.service("es")["uri"], folder(lab, "camera")
    arguments = [uri, *(str(files / name) for name in ("ca.pem", "cert.pem", "key.pem"))]
    stock = Process("-c", STOCK, *arguments)
    try:
        with Recording(uri, tls=str(folder(lab, "stage"))) as helper:
            helper.subscribe("a")
            helper.start()
            refused = lab.run("restart", "es", "--safe", code=None)
            assert refused.returncode != 0
            assert "these clients of es use TLS without a helper" in refused.stderr
            assert "camera" in refused.stderr
            assert "stage" not in refused.stderr
    finally:
        stock.close()
    eventually(lambda: lab.service("es")["es"]["tls"]["connections"] == 0)
    lab.run("restart", "es", "--safe")
