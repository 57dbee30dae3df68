"""The lines around a screen: where it comes from, what is wrong, and which keys do what. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.printable import log_text
from pyroctl.tui.keys import SCREENS, useful
from pyroctl.tui.model import CONNECTING, LIVE
from pyroctl.view.lines import Part
from pyroctl.view.overview import troubles

if TYPE_CHECKING:
    from pyroctl.tui.app import Top

MOST_TROUBLES = 3
SHOWN_KEYS = (
    *("open", "start", "restart", "stop", "handover", "filter", "follow", "pattern"),
    *("pause", "sort", "copy", "palette", "help", "quit"),
)
"""The actions of the last line, as far as there is room; `?` shows all."""
WORDS = {"palette": "actions", "handover": "hand over", "pattern": "tap"}


def top(app: Top) -> list[Part]:
    """Return which deployment is shown, whether the manager is there, and what goes on."""
    model = app.model
    name = model.manager_name or app.deployment.name
    parts = [Part(f" pyroctl · {name} @ {app.deployment.host}  ", "head")]
    if model.condition == LIVE:
        parts.append(Part("● live", "running"))
    elif model.condition == CONNECTING:
        parts.append(Part("connecting", "starting"))
    else:
        heard = f", no news since {model.heard_at}" if model.heard_at else ""
        parts.append(Part(f"✖ {model.reason}{heard}", "failed"))
    parts.append(Part("  VIEW" if app.view_only else "  OPERATE", "dim"))
    if model.paused:
        parts.append(Part("  PAUSED", "starting"))
    for operation in model.operations:
        waits = "" if operation["runs"] else "waits: "
        parts.append(Part(f"  {waits}{operation['what']} …", "starting"))
    return parts


def tabs(app: Top) -> list[Part]:
    """Return the screens, and what the present one says about itself."""
    parts = []
    for place, name in enumerate(SCREENS, 1):
        role = "reverse" if name == app.place else ""
        parts += [Part(" "), Part(f" {place} {name.capitalize()} ", role)]
    caption = app.pane.caption()
    return [*parts, Part(f"   {log_text(caption)}", "dim")] if caption else parts


def banner(app: Top) -> list[Part]:
    """Return what somebody should look at; nothing if all is well."""
    if app.data["manager"] is None or app.model.condition == CONNECTING:
        return []
    found = list(troubles(app.data))
    more = len(found) - MOST_TROUBLES
    lines = [*found[:MOST_TROUBLES], *([f"and {more} more"] if more > 0 else [])]
    return [Part("\n".join(f" ! {line}" for line in lines), "error")] if lines else []


def keys(app: Top) -> list[Part]:
    """Return the most useful keys of a screen."""
    found = {a.name: a for a in useful(app.actions, app.place, view_only=app.view_only)}
    parts = [Part(" 1-7 ", "head"), Part("screens", "dim")]
    for name in SHOWN_KEYS:
        if name in found and found[name].keys:
            parts += [Part(f"  {found[name].keys[0]} ", "head"), Part(WORDS.get(name, name), "dim")]
    return parts
