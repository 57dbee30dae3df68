"""The feed of `watch`: who reads slowly misses deltas and is told so, and holds nobody."""

from __future__ import annotations

import asyncio
from typing import Any

from pyroctl.core.changes import apply
from pyroctl.manager.observe import feed as module
from pyroctl.manager.observe.feed import Feed, Watcher


class Client:
    """Reads what is sent when `reads` is set."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.reads = asyncio.Event()

    def __call__(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    async def drain(self) -> None:
        await self.reads.wait()


def picture(state: int) -> dict[str, Any]:
    return {"manager": {}, "services": {"a": {"state": state}}}


def test_a_slow_reader_gets_a_new_picture_with_a_count() -> None:
    """The fast one sees each delta; the slow one sees the first picture and then the last."""

    async def main() -> None:
        now = {"state": 0}

        async def measure() -> dict[str, Any]:
            return {}

        feed = Feed(lambda: picture(now["state"]), measure)
        fast, slow = Client(), Client()
        fast.reads.set()
        tasks = [asyncio.create_task(feed.watch(each, None)) for each in (fast, slow)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        changes = 2 * module.QUEUE_SIZE + 3
        for state in range(1, changes + 1):
            now["state"] = state
            feed.changed()
            for _ in range(3):
                await asyncio.sleep(0)
        assert [m["seq"] for m in fast.messages] == list(range(changes + 1))
        assert [m["kind"] for m in slow.messages] == ["snapshot"]
        slow.reads.set()
        for _ in range(10):
            await asyncio.sleep(0)
        second = slow.messages[1]
        assert second["kind"] == "snapshot"
        assert second["missed"] > module.QUEUE_SIZE
        seen = second["data"]
        for message in slow.messages[2:]:
            seen = apply(seen, {"services": message["services"]})
        assert seen == picture(changes)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        feed.changed()
        await asyncio.sleep(0)
        assert [m["seq"] for m in fast.messages] == list(range(changes + 1)), "nobody watches"

    asyncio.run(main())


def test_only_the_newest_measurement_waits() -> None:
    """Measurements don't pile up for a watcher that doesn't read."""
    watcher = Watcher()
    watcher.sample = {"clock": 1}
    watcher.sample = {"clock": 2}
    kinds = [(m["kind"], m.get("data")) for m in watcher.take({"services": {}}, 3)]
    assert kinds == [("snapshot", {"services": {}}), ("sample", {"clock": 2})]
    assert watcher.take({}, 3) == []
