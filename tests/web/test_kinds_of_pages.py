"""Pages in all the ways in which they can be run: over a socket, with TLS, behind a proxy, built in."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.harness import eventually
from tests.web.page import Page, read_answer

if TYPE_CHECKING:
    from collections.abc import Callable

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
WITHOUT_EXTRA = """\
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {"starlette", "uvicorn"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""


def test_behind_a_proxy_the_users_have_their_roles(start_page: Callable[..., Page]) -> None:
    """Over a socket that only this user can open; the page's own role is the limit."""
    deployment = start_page.__closure__ and None
    del deployment
    page = start_socket(start_page)
    role = ask(page, "GET /api/v1/status", "Remote-User: alice").data["role"]
    assert role == "operate"
    assert ask(page, "GET /api/v1/status", "Remote-User: bob").data["role"] == "view"
    assert ask(page, "GET /api/v1/status", "Remote-User: eve").status == 403
    assert ask(page, "GET /api/v1/status").status == 401
    assert ask(page, "GET /metrics").status == 401
    assert ask(page, "GET /healthz", host="evil.example").status == 421
    assert ask(page, "GET /", host="lab.example").status == 200
    path = page.root / "web.sock"
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert page.json("web", "url")["data"]["url"] == "https://lab.example/pyro/"


def start_socket(start_page: Callable[..., Page]) -> Deployment:
    raise NotImplementedError
