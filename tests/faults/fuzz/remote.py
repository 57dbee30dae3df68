"""Mutated messages for the manager's listener for other hosts, with and without a certificate."""

from __future__ import annotations

import contextlib
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroctl.certs.token_file import TokenFile
from pyroctl.certs.tokens import NONCE, SECRET, Token, parse_join_string
from pyroctl.control.remote import client_context, unverified_context
from tests.faults.fault import Effect, Fault, NotSurvived
from tests.faults.fuzz import mutation
from tests.faults.fuzz.sending import FEW_BYTES, stranger, unharmed
from tests.harness import Deployment

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable
    from random import Random

_CONFIGURATION = """
[manager.remote]
listen = "127.0.0.1:0"
name = "lab"

[[manager.allow]]
role = "view"
clients = ["camera"]

[services.x]
kind = "command"
command = ["sleep", "1000"]
ready = { delay = 0 }
"""
_TOKENS = 20
_PATIENCE = 1.0


def messages(total: int) -> Callable[[None, Random], Effect]:
    """Return a fault that talks nonsense to the listener; then a host joins, as usual."""

    def inject(_scene: None, chance: Random) -> Effect:
        fuzzed = 0
        with tempfile.TemporaryDirectory() as directory:
            deployment = Deployment(Path(directory) / "here")
            deployment.root.mkdir()
            port = _started(deployment)
            try:
                ids = _tokens(deployment, chance)
                contexts = unverified_context(), _camera(deployment)
                pid = deployment.manager_pid()
                with unharmed(pid):
                    while fuzzed < total:
                        context = chance.choice(contexts)
                        with contextlib.suppress(OSError):
                            fuzzed += _talk(stranger(port, chance), context, ids, chance)
                    _join(deployment, Path(directory) / "there")
                if "Traceback" in deployment.manager_log():
                    raise NotSurvived(deployment.manager_log()[-2000:])
                if deployment.state("x") != "running":
                    raise NotSurvived("somebody without that right has stopped a service")
            finally:
                deployment.close()
        return Effect(fuzzed=fuzzed)

    return inject


def _started(deployment: Deployment) -> int:
    """Start a deployment with a listener, and return its port."""
    deployment.run("certs", "init", "site")
    deployment.run("certs", "server", "localhost", "127.0.0.1", "--name", "lab")
    deployment.run("certs", "client", "camera")
    deployment.configure(_CONFIGURATION)
    deployment.run("start")
    string = parse_join_string(deployment.run("certs", "token", "first", "--client").stdout)
    return int(string.address.rpartition(":")[2])


def _camera(deployment: Deployment) -> ssl.SSLContext:
    folder = deployment.root / "certs" / "issued" / "camera"
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    context = client_context((folder / "ca.pem").read_text(), files)
    context.check_hostname = False
    return context


def _tokens(deployment: Deployment, chance: Random) -> list[str]:
    """Promise some certificates; return the ids of their tokens."""
    tokens, now = (
        TokenFile(str(deployment.root / "certs")),
        datetime.now(UTC).replace(microsecond=0),
    )
    promised = [
        Token(f"host-{number}", (), chance.randbytes(SECRET), now + timedelta(hours=1))
        for number in range(_TOKENS)
    ]
    return [tokens.promise(each, "localhost:1", "0" * 64, now).id for each in promised]


def _talk(sock: socket.socket, context: ssl.SSLContext, ids: list[str], chance: Random) -> int:
    """Connect, perhaps with a mutated handshake, and say two lines; return how many bytes."""
    with sock:
        sock.settimeout(_PATIENCE)
        if chance.random() < 0.2:
            data = mutation.mutate(
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(505), chance
            )
            sock.sendall(data)
            return len(data)
        with context.wrap_socket(sock, server_hostname="localhost") as tls:
            first = _line(_request(ids, chance), chance)
            tls.sendall(first)
            tls.recv(1 << 16)
            proof = {"proof": chance.randbytes(NONCE).hex(), "request": "-----BEGIN CERTIFICATE"}
            second = _line(proof, chance)
            tls.sendall(second)
            while tls.recv(1 << 16):
                pass
        return len(first) + len(second)


def _request(ids: list[str], chance: Random) -> dict[str, Any]:
    do = chance.choice(("ca", "join", "join", "join", "renew", "status", "stop", "shutdown"))
    args: dict[str, Any] = {"services": ["x"], "wait": False}
    if do == "join":
        args = {"id": chance.choice(ids), "nonce": chance.randbytes(NONCE).hex()}
    return {"pyroctl": 1, "do": do, "args": args}


def _line(message: dict[str, Any], chance: Random) -> bytes:
    line = json.dumps(message).encode()
    if chance.random() < 0.7:
        line = mutation.mutate(line, chance).replace(b"\n", b" ")
    if chance.random() < 0.05:
        line += b" " * (70 << 10)
    return line + b"\n"


def _join(deployment: Deployment, root: Path) -> None:
    root.mkdir()
    string = deployment.run("certs", "token", "second", "--client").stdout.strip()
    other = Deployment(root)
    for _ in range(20):  # as many strangers are refused, so may an honest host be
        if other.run("join", string, code=None).returncode == 0:
            return
    raise NotSurvived("a host can't join any more")


FAULTS = [Fault("fuzz: messages of other hosts", messages(FEW_BYTES), "alone")]
