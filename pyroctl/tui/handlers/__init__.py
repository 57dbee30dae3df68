"""Carries out the actions of `tui.keys`: a method for each, of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.tui.handlers.changing import Changing
from pyroctl.tui.handlers.moving import Moving
from pyroctl.tui.handlers.outside import Outside
from pyroctl.tui.handlers.viewing import Viewing

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.tui.app import Top


def handlers(top: Top) -> dict[str, Callable[[], object]]:
    """Return the function of each action that isn't a screen; some are coroutine functions."""
    return {
        name: getattr(one, name)
        for one in (Moving(top), Viewing(top), Changing(top), Outside(top))
        for name in dir(one)
        if not name.startswith("_")
    }
