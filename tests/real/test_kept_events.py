"""`crash = "keep"`: the manager holds the events that were accepted, whatever becomes of it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from pyro_events import Publisher
from tests.events.service_harness import WireClient
from tests.harness import eventually
from tests.real.test_adoption import ADOPT, kill_manager

if TYPE_CHECKING:
    from tests.harness import Deployment

NS = '[services.ns]\nkind = "nameserver"\nport = 0\n'
ES = (
    NS
    + '[services.es]\nkind = "eventservice"\nneeds = ["ns"]\ncrash = "keep"\nring_bytes = 1000000\n'
)


def test_events_outlive_service_and_manager(deployment: Deployment) -> None:
    """A subscriber that is away has all of them after kill -9 of both, a reexec and a restart."""
    deployment.configure(ADOPT + ES)
    deployment.run("start")
    uri = deployment.service("es")["uri"]
    port = int(uri.rpartition(":")[2])
    first = WireClient(port)
    first.greet()
    before = first.attach("s", ["a"], name="s")["incarnation"]
    first.sock.close()

    def crash() -> None:
        row = deployment.service("es")
        os.kill(row["pid"], signal.SIGKILL)
        eventually(
            lambda: (
                (now := deployment.service("es"))["pid"] not in (None, row["pid"])
                and now["state"] == "running"
            )
        )

    with Publisher(uri) as publisher:
        publisher.publish("a", 0)
        crash()
        publisher.publish("a", 1)
        kill_manager(deployment)
        deployment.run("start")
        crash()
        publisher.publish("a", 2)
        deployment.run("reexec")
        crash()
        publisher.publish("a", 3)
        deployment.run("restart", "es", "--handover")
        publisher.publish("a", 4)
        crash()
    second = WireClient(port)
    second.greet()
    answer = second.attach("s", ["a"], last=0, last_incarnation=before)
    assert (answer["resumed"], answer["missed"]) == (True, 0)
    assert [event[2][-1] for event in second.events(5)] == list(range(5))
    second.sock.close()
