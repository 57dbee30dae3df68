"""Pages at a socket, with TLS, behind a proxy, without their extra, built in."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from pyroctl.core.spec import builtin_deployment
from tests.harness import eventually
from tests.web.page import Answer, Page, read_answer, trusting

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Deployment
    from tests.tls_site import TlsSite

PROXIED = """\
[services.web]
kind = "web"
socket = "web.sock"
access = "operate"
public_url = "https://lab.example/pyro/"
proxy = { user_header = "Remote-User", roles = { alice = "configure", bob = "view" } }
metrics = "token"
"""
WITHOUT_EXTRA = "import sys\nsys.modules['starlette'] = sys.modules['uvicorn'] = None\n"


def ask(path: Path, request: str, *headers: str, host: str = "localhost") -> Answer:
    """Make a request at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(path))
        lines = [f"{request} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
        sock.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        return read_answer(sock)


def test_behind_a_proxy_users_have_their_roles(deployment: Deployment) -> None:
    """At a socket that only this user can open; the page's own role is the limit."""
    deployment.configure(PROXIED)
    deployment.run("start")
    path = deployment.root / "web.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    alice, bob, eve = (
        ask(path, "GET /api/v1/status", f"Remote-User: {name}") for name in ("alice", "bob", "eve")
    )
    assert (alice.data["role"], bob.data["role"], eve.status) == ("operate", "view", 403)
    twice = ask(path, "GET /api/v1/status", "Remote-User: bob", "Remote-User: alice")
    assert twice.status == 403
    assert ask(path, "GET /api/v1/status").status == 401
    assert ask(path, "GET /metrics").status == 401
    assert ask(path, "GET /healthz", host="evil.example").status == 421
    assert ask(path, "GET /", host="lab.example").status == 200
    assert deployment.json("web", "url")["data"]["url"] == "https://lab.example/pyro/"


def test_a_page_with_tls_is_served_beyond_loopback(
    deployment: Deployment, tls_site: TlsSite
) -> None:
    """Only with TLS; then the cookie is never sent without."""
    folder = tls_site.folder("es")
    deployment.configure(
        '[services.web]\nkind = "web"\nhost = "0.0.0.0"\nport = 0\n'
        f'tls = {{ cert = "{folder}/cert.pem", key = "{folder}/key.pem" }}\n'
    )
    deployment.run("start")
    page = Page(deployment)
    assert page.url.startswith("https://")
    context = trusting(str(folder / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", page.address[1]), 20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        body = f'{{"token": "{page.token}"}}'
        sock.sendall(
            f"POST /session HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        assert "; Secure" in read_answer(sock).headers["set-cookie"]


def test_without_the_extra_one_line_names_it(deployment: Deployment, tmp_path: Path) -> None:
    """The page has failed for good, which hurts nothing else."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_EXTRA)
    deployment.env["PYTHONPATH"] = str(tmp_path)
    deployment.configure(
        '[services.ns]\nkind = "nameserver"\nport = 0\n'
        f'[services.web]\nkind = "web"\nport = 0\nenv = {{ PYTHONPATH = "{tmp_path}" }}\n'
    )
    started = deployment.run("start", code=1)
    assert "pip install 'pyroctl[web]'" in started.stderr
    assert (deployment.state("web"), deployment.state("ns")) == ("failed", "running")
    own = [x for x in deployment.run("logs", "web").stdout.splitlines() if "[pyroctl]" not in x]
    assert len(own) == 1
    command = [sys.executable, "-m", "pyroctl", "--root", str(tmp_path / "other"), "config", "show"]
    shown = subprocess.run(command, env=deployment.env, capture_output=True, text=True, check=True)
    assert "services.es" in shown.stdout
    assert "services.web" not in shown.stdout, "nothing in the built-in deployment can't run"


def test_a_taken_port_is_replaced_unless_it_was_configured(deployment: Deployment) -> None:
    """The default is 8787 or any free one, so that a second deployment needs no setting."""
    deployment.configure('[services.web]\nkind = "web"\n[services.two]\nkind = "web"\n')
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        started = deployment.run("start").stderr
        found = re.findall(r"(?:web|two) running \(pid \d+, (http://127\.0\.0\.1:\d+/)\)", started)
        assert len(set(found)) == 2, "start prints their addresses"
        port = other.getsockname()[1]
        deployment.configure(f'[services.three]\nkind = "web"\nport = {port}\n')
        assert "is taken by" in deployment.run("reload", "--yes", code=1).stderr


def test_the_token_can_be_renewed(deployment: Deployment) -> None:
    """The old one, and all sessions, are worth nothing then."""
    deployment.configure('[services.web]\nkind = "web"\nport = 0\n')
    deployment.run("start")
    page = Page(deployment)
    cookie = page.cookie()
    new = deployment.json("web", "token", "--new")["data"]["token"]
    assert new != page.token
    assert page.request("GET", "/api/v1/status").status == 401
    assert page.request("GET", "/api/v1/status", token=False, Cookie=cookie).status == 401
    page.token = new
    eventually(lambda: page.request("GET", "/api/v1/status").status == 200, "the new one works")


def test_the_built_in_deployment_has_a_page_if_it_can_run() -> None:
    """Its services are as they were, and what the manager supervises otherwise doesn't change."""
    without, with_page = (builtin_deployment("/", page=page) for page in (False, True))
    assert [*without.services] == ["ns", "es"]
    assert [*with_page.services] == ["ns", "es", "web"]
    assert with_page.services["es"] == without.services["es"]
    assert os.path.isabs(with_page.directory)  # noqa: PTH117


def test_a_page_has_no_more_memory_than_promised(deployment: Deployment) -> None:
    """35 MiB with a browser that looks, after some requests."""
    deployment.configure(
        '[services.ns]\nkind = "nameserver"\nport = 0\n'
        '[services.es]\nkind = "eventservice"\nneeds = ["ns"]\n'
        '[services.web]\nkind = "web"\nport = 0\n'
    )
    deployment.run("start")
    page = Page(deployment)
    for name in ("status", "logs", "series/names", "timeline", "es/subjects"):
        page.get(name)
    row = deployment.service("web")
    assert row["rss_bytes"] < 40 << 20, "a bound for any machine; the benchmark has the figure"
