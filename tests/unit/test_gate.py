"""Which operations run at the same time, and in which order the others do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pyroctl.manager.commands.gate import Gate, Scope

if TYPE_CHECKING:
    from pyroctl.control.protocol import Message


def scope(what: str, changes: str = "", uses: str = "", *, everything: bool = False) -> Scope:
    return Scope(what, set(changes.split()), set(uses.split()), everything)


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        (scope("start feed", uses="es feed"), scope("start camera", uses="es camera"), False),
        (scope("stop es", "es feed"), scope("start feed", uses="es feed"), True),
        (scope("restart a", "a", "es a"), scope("restart b", "b", "es b"), False),
        (scope("restart a", "a", "es a"), scope("restart es", "es a b", "es"), True),
        (scope("restart a", "a"), scope("stop a", "a"), True),
        (scope("stop a", "a"), scope("reload", everything=True), True),
        (scope("start"), scope("reload", everything=True), True),
    ],
)
def test_only_operations_on_the_same_services_conflict(
    one: Scope, other: Scope, *, conflict: bool
) -> None:
    """Several may use a service, but a change of it excludes everything else."""
    assert one.conflicts(other) is other.conflicts(one) is conflict


def test_conflicting_operations_run_in_the_order_of_their_arrival() -> None:
    """Each names what it waits for; an unrelated one overtakes, and a failure blocks nobody."""
    order: list[str] = []
    told: list[Message] = []

    async def admit(gate: Gate, what: str, changes: str, turns: int) -> None:
        async def operation(_: object) -> Message:
            for _ in range(turns):
                await asyncio.sleep(0)
            order.append(what)
            if what == "one":
                raise OSError
            return {}

        await gate.admit(scope(what, changes), told.append, operation)

    async def main() -> None:
        gate = Gate()
        await asyncio.gather(
            admit(gate, "one", "a", 5),
            admit(gate, "two", "a b", 0),
            admit(gate, "three", "b", 0),
            admit(gate, "four", "c", 0),
            return_exceptions=True,
        )
        assert gate.idle

    asyncio.run(main())
    assert order == ["four", "one", "two", "three"]
    texts = [message["text"] for message in told]
    assert texts == [f"waiting for another command: {what}" for what in ("one", "two")]
