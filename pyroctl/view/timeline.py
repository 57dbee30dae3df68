"""What has happened, told from two pictures of the services. Pure.

An entry is `{"time", "service", "kind", "text"}`, and more for some kinds: `state` and `end` (of a
service), `action` (`who`, `role`, `from`, `outcome`), `reload` and `manager`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.view.services import why

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = Mapping[str, Any]
    Entry = dict[str, Any]


def happened(before: Sequence[Row], after: Sequence[Row], now: float) -> Iterator[Entry]:
    """Yield an entry for each service that has changed its state or ended in between."""
    old = {row["name"]: row for row in before}
    for row in after:
        was = old.pop(row["name"], None)
        if was is None:
            if before:
                yield entry(now, row["name"], "state", f"new: {row['state']}", state=row["state"])
            continue
        if row["exit"] is not None and row["exit"] != was["exit"]:
            code = row["exit"]["code"] or row["exit"]["signal"]
            yield entry(now, row["name"], "end", row["exit"]["text"], code=code)
        if row["state"] != was["state"] or row["pid"] != was["pid"]:
            reason = why(row)
            text = f"{row['state']}: {reason}" if reason else row["state"]
            yield entry(now, row["name"], "state", text, state=row["state"])
    for name in old:
        yield entry(now, name, "state", "removed from the configuration", state="removed")


def entry(now: float, service: str | None, kind: str, text: str, **more: Any) -> Entry:
    """Return an entry; `now` is in seconds since the epoch."""
    return {"time": round(now, 3), "service": service, "kind": kind, "text": text, **more}
