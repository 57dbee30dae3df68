"""The deployment that these tests show: some of it is well, some isn't, all of it is rude."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness import Deployment, eventually

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

MARKUP = "<img src=x onerror=alert(1)>"
RUDE = rf"{MARKUP} \033[31mred\033[0m \033]0;title\007 <script>alert(2)</script> end"
"""For printf: markup, a colour, and a sequence that would change a terminal's title."""

CONFIG = rf"""
# {MARKUP}
[manager]
name = "kitchen"

[services.ns]
kind = "nameserver"
port = 0

[services.es]
kind = "eventservice"
needs = ["ns"]

[services.web]
kind = "web"
port = 0
access = "configure"

[services.lookout]
kind = "web"
port = 0
access = "view"

[services.oven]
kind = "command"
command = ["sh", "-c", '''printf '{RUDE}\n'; echo "the oven is hot" >&2; exec sleep 1000''']
needs = ["es"]
restart_delay = 0.1

[services.watch]
kind = "command"
command = ["sh", "-c", '''printf 'no route to {RUDE}\n'; exit 1''']
enabled = false
"""


class Kitchen(Deployment):
    """Starts once for a module."""

    def begin(self) -> None:
        self.configure(CONFIG)
        self.run("start")

    def address(self, page: str) -> str:
        """Return where a page is."""
        return str(self.service(page)["uri"])

    def token(self, page: str) -> str:
        """Return the token of a page."""
        (file,) = (
            path for path in (self.root / "state").rglob("token") if path.parent.name == page
        )
        return Path(file).read_text().strip()

    def sign_in(self, context: BrowserContext, page: str) -> None:
        """Sign a browser in at a page."""
        url = self.address(page)
        answer = context.request.post(
            f"{url}session",
            data={"token": self.token(page)},
            headers={"Origin": url.rstrip("/"), "Content-Type": "application/json"},
        )
        assert answer.ok, answer.text()

    def reaches(self, service: str, state: str) -> None:
        """Wait for a state of a service."""
        eventually(lambda: self.state(service) == state, f"{service} is {state}")
