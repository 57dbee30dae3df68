"""What a system has to bring to be measured."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from benchmarks.events.message import Message, Plan
    from benchmarks.events.processes import Broker


class System:
    """A way to publish and to subscribe.

    `publish` and `subscribe` each run in a process of their own, with imports of their own.
    """

    name: str
    """For `--only`, and for tables."""
    title: str
    gives_up: str = ""
    """What it doesn't do that the event service does; empty for ours."""
    acked: bool = False
    """Publishing returns when the broker has the message."""
    needs: tuple[str, ...] = ()
    """Modules, from PyPI."""
    program: ClassVar[str | None] = None
    """A program, from Debian's package of that name."""

    def missing(self) -> str | None:
        """Return what has to be installed, None if nothing is missing."""
        for module in self.needs:
            if find_spec(module) is None:
                return f"the module {module}: pip install --group bench-events"
        if self.program and shutil.which(self.program, path=PATH) is None:
            return f"the program {self.program}: apt-get install {self.program}"
        return None

    def executable(self) -> str:
        """Return the path of the program."""
        found = shutil.which(self.program or "", path=PATH)
        assert found is not None
        return found

    def broker(self, directory: Path) -> AbstractContextManager[Broker]:
        """Run a broker of its own."""
        raise NotImplementedError

    def publish(self, address: str, plan: Plan) -> None:
        """Publish the messages; return when the broker has all of them, as far as one can know."""
        raise NotImplementedError

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        """Subscribe, call `ready` when that is done, and `take` with every decoded message."""
        raise NotImplementedError

    def idle(self, address: str, number: int) -> object:
        """Subscribe `number` times, a connection each; the result keeps them."""
        raise NotImplementedError

    def patterns(self, address: str, number: int) -> object:
        """Subscribe once with `number` patterns that match nothing; the result keeps it."""
        raise NotImplementedError


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
