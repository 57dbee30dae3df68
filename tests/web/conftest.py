"""A deployment with a page, which many tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import Deployment
from tests.web.page import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.importorskip("starlette")

CONFIG = """\
[services.ns]
kind = "nameserver"
port = 0

[services.es]
kind = "eventservice"
needs = ["ns"]

[services.chatty]
kind = "command"
command = ["sh", "-c", "echo hello from chatty; echo '<img src=x onerror=alert(1)>'; sleep 1000"]
env = { PASSWORD = "swordfish" }

[services.web]
kind = "web"
port = 0
access = "configure"
hosts = ["lab.example"]
"""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page that tests only look at, or attack."""
    deployment = Deployment(tmp_path_factory.mktemp("page"))
    deployment.configure(CONFIG)
    deployment.run("start")
    try:
        yield Page(deployment)
    finally:
        deployment.close()


@pytest.fixture
def start_page(deployment: Deployment) -> Callable[..., Page]:
    """Return a function that starts a deployment of the test's own, and returns its page."""

    def start(config: str = CONFIG) -> Page:
        deployment.configure(config)
        deployment.run("start")
        return Page(deployment)

    return start
