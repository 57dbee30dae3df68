"""A tab of the browser that notes what a page must never do."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Locator, Request

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
PHONE, DESK = 390, 1200
FINDINGS = """axe.run({resultTypes: ["violations"]}).then(({violations}) => violations.flatMap(
    ({id, nodes}) => nodes.map(({html, failureSummary}) => `${id}: ${html}: ${failureSummary}`)))"""


class Tab:
    """One tab. `faults` has errors of scripts and of the console, dialogs, and foreign requests."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._request)

    def show(self, screen: str) -> None:
        """Show a screen, such as `logs` or `service/es`, and wait until the page is live."""
        self.page.goto(f"{self.url}#/{screen}")
        expect(self.page.locator("#live")).to_contain_text("live")

    def find(self, selector: str, **how: Any) -> Locator:
        """Return what the page shows."""
        return self.page.locator(selector, **how)

    def row(self, service: str) -> Locator:
        """Return a service's row of the overview."""
        return self.find(f'tr[data-name="{service}"]')

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def forgive(self, text: str) -> None:
        """Forget messages that the browser itself logs when a server is gone."""
        self.faults = [fault for fault in self.faults if text not in fault]

    def check(self) -> None:
        """Check what is shown in both colour schemes, on a desk and on a phone."""
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            for width in (DESK, PHONE):
                self.page.set_viewport_size({"width": width, "height": 900})
                wide = self.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{self.page.url} scrolls sideways: {wide} > {width}"
            self.page.evaluate(_axe())
            found = self.page.evaluate(FINDINGS)
            assert found == [], "\n".join([self.page.url, scheme, *found])
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": DESK, "height": 900})

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"console: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((self.url, "blob:")):
            self.faults.append(f"foreign request: {request.url}")


@cache
def _axe() -> str:
    """Return the script of axe-core."""
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
