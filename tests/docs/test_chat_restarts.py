"""A chat under a managed event service continues, whatever happens to the service."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.docs.test_examples import Stage
from tests.real.test_main_job import PAIR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docs.test_examples import Program
    from tests.harness import Deployment


@pytest.fixture
def people(deployment: Deployment) -> Iterator[list[Program]]:
    """Ann and Bob, in one room."""
    deployment.configure(PAIR)
    deployment.run("start")
    stage = Stage()
    stage.address = ("--es", str(deployment.service("es")["uri"]))
    ann = stage.example("chat/chat.py", "ann")
    ann.wait_for("* ann is here")
    bob = stage.example("chat/chat.py", "bob")
    ann.wait_for("* bob is here")
    yield [ann, bob]
    stage.close()


def talk(people: list[Program], about: str) -> None:
    """Everybody writes something, and everybody receives all of it once."""
    for number, person in enumerate(people):
        person.types(f"{about} {number}")
    for person in people:
        for number, _ in enumerate(people):
            assert person.lines.count(person.wait_for(f"{about} {number}")) == 1


def test_a_chat_continues_through_restarts_and_a_crash(
    deployment: Deployment, people: list[Program]
) -> None:
    """Clients are notified of a restart, don't notice a handover, and survive a kill."""
    talk(people, "before")

    output = deployment.run("restart", "es").stderr
    assert "aware subscribers of es that will be notified: 2" in output
    assert "es: 2 aware subscribers notified, 2 returned" in output
    for person in people:
        person.wait_for("* The chat is gone (stopping: restart)")
        person.wait_for("* The chat is back")
    talk(people, "restarted")

    heard = [len([line for line in person.lines if "is gone" in line]) for person in people]
    assert "handed over with 2 subscribers" in deployment.run("restart", "es", "--handover").stderr
    talk(people, "handed over")
    gone = [len([line for line in person.lines if "is gone" in line]) for person in people]
    assert gone == heard == [1, 1]

    os.kill(deployment.service("es")["pid"], signal.SIGKILL)
    talk(people, "killed")

    for person in people:
        person.types("/quit")
        person.wait_for("Goodbye.")
        assert not [line for line in person.lines if "may have missed" in line]
