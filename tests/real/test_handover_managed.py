"""Handovers of the real event service by the real manager."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher
from tests.events.client_fixtures import Recording
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

ES = """
[services.ns]
kind = "nameserver"
port = 0
broadcast = false

[services.es]
kind = "eventservice"
needs = ["ns"]
restart_delay = 0.1
"""


def handed_over(deployment: Deployment) -> dict[str, Any]:
    (entry,) = deployment.json("restart", "es", "--handover")["data"]["restarts"]
    return dict(entry)


@pytest.mark.parametrize("where", ["", 'host = "./u:{}/es.sock"\n'])
def test_no_client_notices(deployment: Deployment, where: str) -> None:
    """Another process has the same address, incarnation and connections; no client is notified."""
    deployment.configure(ES + where.format(deployment.root))
    deployment.run("start")
    before = deployment.service("es")
    with Publisher(before["uri"]) as publisher, Recording(before["uri"]) as subscriber:
        subscriber.subscribe("a")
        subscriber.start()
        for number in range(3):
            publisher.publish("a", number)
            entry = handed_over(deployment)
            assert entry.pop("seconds") > 0
            assert entry == {
                "service": "es", "how": "handover", "lost": [], "carried": 1, "notified": 0,
                "resubscribed": 0,
            }  # fmt: skip
        publisher.publish("a", 3)
        assert subscriber.wait(4) == [0, 1, 2, 3]
        assert subscriber.hook_names() == ["connected"]
    after = deployment.service("es")
    assert after["pid"] != before["pid"]
    assert (after["uri"], after["restarts"]) == (before["uri"], 0)
    assert after["es"]["incarnation"] == before["es"]["incarnation"]


@pytest.mark.parametrize("delay", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_manager_that_is_killed_during_it(deployment: Deployment, delay: float) -> None:
    """At any point both processes end, and the next start finds nothing of them."""
    deployment.configure(ES)
    deployment.run("start")
    with deployment.popen("restart", "es", "--handover") as command:
        time.sleep(delay)  # anywhere between the command's start and its end
        deployment.kill_manager()
        command.communicate(timeout=20)
    eventually(lambda: not deployment.processes(), "all have ended")
    deployment.run("start")
    assert deployment.state("es") == "running"
    assert handed_over(deployment)["how"] == "handover"
    deployment.was_killed = False
