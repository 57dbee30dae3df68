"""A second host joins a site: two roots on loopback, one with the CA and a listener."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyroctl.certs.token_file import TokenFile
from pyroctl.certs.tokens import Token, parse_join_string
from pyroctl.control.remote import RemoteManager, client_context
from pyroctl.errors import Reported
from tests.harness import BIN, Deployment, eventually
from tests.tls import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONFIG = """
[manager.remote]
listen = "127.0.0.1:0"
name = "lab-server"

[[manager.allow]]
role = "view"
clients = ["camera-*"]

[services.idle]
kind = "command"
command = "sleep 1000"
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The host with the CA, whose manager listens."""
    deployment = Deployment(tmp_path_factory.mktemp("lab"))
    deployment.run("certs", "init", "lab")
    deployment.run("certs", "server", "localhost", "127.0.0.1", "--name", "lab-server")
    deployment.configure(CONFIG)
    deployment.run("start")
    yield deployment
    deployment.close()


@pytest.fixture
def other(tmp_path: Path) -> Deployment:
    """Another host."""
    return Deployment(tmp_path)


def token(lab: Deployment, *args: str) -> str:
    return lab.run("certs", "token", *args).stdout.strip()


def joined(host: Deployment, string: str) -> Path:
    return Path(host.run("join", string).stdout.strip())


def refused(host: Deployment, string: str) -> str:
    """Return what a host that can't join is told, after a check that it has stored nothing."""
    error = host.run("join", string, code=1).stderr
    assert not (host.root / "certs").exists()
    return error


def test_a_second_host_in_three_commands(lab: Deployment, other: Deployment) -> None:
    """Its certificate is accepted, its key never left it, and the string works once."""
    string = token(lab, "camera-1", "localhost", "--name", "camera-1")
    assert string.startswith("127.0.0.1:")
    listed = lab.json("certs", "list")["data"]["tokens"]
    assert [(row["name"], row["hosts"]) for row in listed] == [
        ("camera-1", ["camera-1", "localhost"])
    ]
    secret = parse_join_string(string).secret.hex()
    assert secret not in lab.run("certs", "list", "--json").stdout

    folder = joined(other, string)
    assert folder == other.root / "certs" / "issued" / "camera-1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "ca.pem", "cert.pem", "joined.toml", "key.pem",
    ]  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    rows = other.json("certs", "list")["data"]["certificates"]
    assert [(row["name"], row["kind"], row["state"]) for row in rows] == [
        ("camera-1", "server", "valid")
    ]
    here = lab.root / "certs" / "issued"
    assert not (here / "camera-1" / "key.pem").exists()
    server, client = connect(here / "lab-server", folder, "localhost")
    assert (server.failure, client.failure) == ("", "")
    assert server.peer.name == "camera-1"

    assert lab.json("certs", "list")["data"]["tokens"] == []
    other.root = other.root / "third"
    other.place = ["--root", str(other.root)]
    other.root.mkdir()
    assert "the token is unknown, or was used" in refused(other, string)


def test_the_string_from_standard_input(lab: Deployment, other: Deployment) -> None:
    """It need not be an argument, which other users could read."""
    done = subprocess.run(
        [BIN / "pyroctl", *other.place, "join", "-", "--json"],
        env=other.env,
        input=token(lab, "stage", "--client"),
        capture_output=True,
        text=True,
        check=True,
    )
    data = json.loads(done.stdout)["data"]
    assert (data["site"], data["name"], data["kind"]) == ("lab", "stage", "client")
    assert "join string is missing" in other.run("join", code=2).stderr


def test_an_expired_token(lab: Deployment, other: Deployment) -> None:
    """The sentence says what to do."""
    site = lab.root / "certs"
    past = datetime.now(UTC) - timedelta(minutes=1)
    promised = Token("late", (), bytes(16), past.replace(microsecond=0))
    tokens = TokenFile(str(site))
    live = parse_join_string(token(lab, "early", "--client"))
    string = tokens.promise(promised, live.address, live.ca, past - timedelta(minutes=15))
    error = refused(other, str(string))
    assert "the token has expired" in error
    assert "certs token makes another one" in error
    lab.run("certs", "remove", "early")
    assert lab.json("certs", "list")["data"]["tokens"] == []


def test_three_wrong_secrets_end_a_token(lab: Deployment, other: Deployment) -> None:
    """After that the right one is refused, too."""
    string = parse_join_string(token(lab, "guessed", "--client"))
    wrong = str(string._replace(secret=bytes(16)))
    errors = [refused(other, wrong) for _ in range(3)]
    assert ["wrong secret\n" in error for error in errors] == [True, True, False]
    assert "wrong secret, 3 times: the token has ended" in errors[2]
    assert "unknown, or was used" in refused(other, str(string))


def test_another_ca_behind_the_address(lab: Deployment, other: Deployment) -> None:
    """Nothing is sent to a host whose CA is not the one in the string."""
    string = parse_join_string(token(lab, "pinned", "--client"))
    error = refused(other, str(string._replace(ca="ab" * 32)))
    assert "is not the one in the join string" in error
    lab.run("certs", "remove", "pinned")


def test_nobody_listens(lab: Deployment, other: Deployment) -> None:
    """Neither a closed port, nor one that says nothing, nor one without TLS."""
    string = parse_join_string(token(lab, "lost", "--client"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    error = refused(other, str(string._replace(address=address)))
    assert f"no manager answers at {address}: Connection refused" in error
    assert "[manager.remote]" in error
    other.configure('[services.idle]\nkind = "command"\ncommand = "sleep 1000"\n')
    other.run("start")
    other.run("certs", "init", "own")
    error = other.run("certs", "token", "x", "--client", code=1).stderr
    assert "the manager doesn't listen for other hosts" in error
    other.close()
    error = other.run("join", str(string), code=1).stderr
    assert "has a CA of its own" in error
    lab.run("certs", "remove", "lost")


def test_a_client_has_the_role_of_its_name(lab: Deployment, other: Deployment) -> None:
    """`[[manager.allow]]` decides; a client that was removed is refused at once, by name."""
    folder = joined(other, token(lab, "camera-9", "--client"))
    ask = asker(lab, folder)
    assert [row["name"] for row in ask("status")["services"]] == ["idle"]
    with pytest.raises(Reported, match="the client camera-9 has the role view, and stop needs"):
        ask("stop")
    lab.run("certs", "remove", "camera-9")
    with pytest.raises(Reported, match=r"the key of this certificate was removed on"):
        ask("status")


def asker(lab: Deployment, folder: Path | None) -> Callable[[str], dict]:
    port = lab.status()["manager"]["remote"]["port"]
    ca = (lab.root / "certs" / "ca" / "cert.pem").read_text()
    files = (str(folder / "cert.pem"), str(folder / "key.pem")) if folder else None

    def ask(do: str) -> dict:
        with RemoteManager(("127.0.0.1", port), client_context(ca, files)) as manager:
            found: dict = manager.call(do, {"services": []})
        return found

    return ask


def test_strangers(lab: Deployment, other: Deployment) -> None:
    """They are refused, counted and logged in few lines; meanwhile others come in."""
    with pytest.raises(Reported, match="needs a certificate of this site"):
        asker(lab, None)("status")
    port = lab.status()["manager"]["remote"]["port"]
    string = token(lab, "patient", "--client")
    here = ("127.0.0.1", port)
    silent = [
        socket.create_connection(here, source_address=(f"127.0.0.{number % 9 + 10}", 0))
        for number in range(40)
    ]
    for count in range(200):
        with socket.create_connection(here, source_address=("127.0.0.3", 0)) as sock:
            sock.sendall(os.urandom(100) if count % 2 else b"GET / HTTP/1.1\r\n\r\n")
    joined(other, string)
    for sock in silent:
        sock.close()
    eventually(lambda: lab.status()["manager"]["remote"]["refused"] >= 200)
    eventually(lambda: lab.status()["manager"]["remote"]["connections"] == 0)
    lines = [line for line in lab.manager_log().splitlines() if "remote: " in line]
    assert len(lines) < 40


def test_messages_are_bounded(lab: Deployment) -> None:
    """A line without an end, and one that is deep, are answered with an error."""
    port = lab.status()["manager"]["remote"]["port"]
    context = client_context((lab.root / "certs" / "ca" / "cert.pem").read_text())
    for data in (b"x" * 200_000, b"[" * 60_000 + b"\n", b"\xff\n", b'{"pyroctl": 1}\n'):
        with (
            socket.create_connection(("127.0.0.1", port)) as sock,
            context.wrap_socket(sock, server_hostname="127.0.0.1") as tls,
        ):
            try:
                tls.sendall(data)
                answer = tls.recv(65536)
            except (ssl.SSLError, ConnectionError):
                continue
            assert b'"protocol"' in answer
    assert lab.status()["manager"]["state"] == "running"
