"""docs/examples/market: a class of the user's own as a service."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pyro_events import Subscriber
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "market"


class Quotes(Subscriber):
    def __init__(self, es):
        super().__init__(es)
        self.got = []

    def event(self, event):
        self.got.append((event.subject, event.msg))


def test_a_purchase_raises_the_price_and_is_published(deployment: Deployment) -> None:
    """The example's deployment starts, its client trades, the event reaches a subscriber."""
    shutil.copy(EXAMPLE / "stocks.py", deployment.root)
    deployment.configure((EXAMPLE / "pyroctl.toml").read_text())
    deployment.run("start")
    with Quotes(deployment.service("es")["uri"]) as quotes:
        quotes.subscribe("stockquote.SUN")
        listener = threading.Thread(target=quotes.listen)
        listener.start()
        try:
            buyer = (sys.executable, str(EXAMPLE / "buyer.py"), "SUN", "10")
            bought = deployment.run("exec", "--", *buyer)
            eventually(lambda: quotes.got)
        finally:
            quotes.abort()
            listener.join(10)
    assert bought.stdout == "SUN 22.66\n"
    assert quotes.got == [("stockquote.SUN", ("SUN", 22.66))]
    assert "10 × SUN, now at 22.66" in deployment.run("logs", "market").stdout
    deployment.run("stop")
    assert "Warning" not in deployment.run("logs", "market").stdout
