"""One module for each screen."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroctl.tui.app import Top
    from pyroctl.tui.panes.pane import Pane


def make(name: str, top: Top) -> Pane:
    """Return a new screen; its module is imported now, as most are not needed at first."""
    module = importlib.import_module(f"pyroctl.tui.panes.{name}")
    pane: Pane = getattr(module, f"{name.capitalize()}Pane")(top)
    return pane
