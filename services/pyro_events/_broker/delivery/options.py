"""How a subscriber wants its events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyro_events._protocol.pressure import check_when_full

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyro_events.types import WhenFull

MAX_QUEUE = 10_000_000


@dataclass(frozen=True, slots=True)
class SubscriberOptions:
    """How a subscriber wants its events; None leaves an option as it is, at first the default."""

    as_dict: bool | None = None
    once: bool | None = None
    when_full: WhenFull | None = None
    queue_size: int | None = None

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError that names the option, for whatever a client sent."""
        for name in ("as_dict", "once"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, not {value!r:.60}")
        if self.when_full is not None:
            check_when_full(self.when_full)
        size = self.queue_size
        if size is not None and (isinstance(size, bool) or not isinstance(size, int)):
            raise TypeError(f"queue_size must be a number of events, not {size!r:.60}")
        if size is not None and not 1 <= size <= MAX_QUEUE:
            raise ValueError(f"queue_size must be from 1 to {MAX_QUEUE}, not {size}")

    @classmethod
    def saved(cls, values: Mapping[str, Any]) -> SubscriberOptions:
        """Return the options that another process has saved; raises TypeError or ValueError."""
        if values.get("when_full") == "block":  # an older version's
            values = {**values, "when_full": "drop-oldest"}
        return cls(**values)

    def plain(self) -> dict[str, object]:
        """Return them by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def over(self, old: SubscriberOptions) -> SubscriberOptions:
        """Return the old options, changed where these are not None."""
        changes = {name: value for name, value in self.plain().items() if value is not None}
        return self if len(changes) == len(self.__slots__) else replace(old, **changes)  # type: ignore[arg-type] # the values of an Options
