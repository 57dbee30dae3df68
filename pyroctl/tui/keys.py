"""What a user can do, and by which keys; the one table of both. Pure."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyroctl.errors import ConfigError, Diagnostic
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCREENS = ("overview", "service", "logs", "events", "topology", "timeline", "doctor")
FILE_NAME = "top.toml"
"""Beside the configuration: its table `keys` has other keys for actions."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a user can do.

    `changes` if it does more than look. `screens` are where it has a meaning; without any it has
    one everywhere. `argument` is for the method that several actions share.
    """

    name: str
    keys: tuple[str, ...]
    title: str
    changes: bool = False
    screens: tuple[str, ...] = ()
    argument: str = ""


LISTS = ("overview", "topology")
"""Where the line under the cursor is a service."""
ABOUT_SERVICES = (*LISTS, "service")
STREAMS = ("logs", "events", "timeline")

ACTIONS = (
    *(
        Action(name, (str(place),), f"Screen {place}: {name.capitalize()}", argument=name)
        for place, name in enumerate(SCREENS, 1)
    ),
    Action("up", ("k", "up"), "Up"),
    Action("down", ("j", "down"), "Down"),
    Action("left", ("left",), "Scroll to the left"),
    Action("right", ("right",), "Scroll to the right"),
    Action("first", ("g", "home"), "To the first line; in logs at the top, read older ones"),
    Action("last", ("G", "end"), "To the last line"),
    Action("half_page_down", ("ctrl+d",), "Half a page down"),
    Action("half_page_up", ("ctrl+u",), "Half a page up"),
    Action("page_down", ("pagedown",), "A page down"),
    Action("page_up", ("pageup",), "A page up"),
    Action("open", ("enter",), "Open what the cursor is on", screens=(*LISTS, "service", "events")),
    Action("back", ("escape",), "Back; ends a filter first"),
    Action("select", ("space",), "Select or deselect a line"),
    Action("select_all", ("a",), "Select all lines, or none"),
    Action("start", ("s",), "Start services", changes=True, screens=ABOUT_SERVICES),
    Action("restart", ("r",), "Restart services", changes=True, screens=ABOUT_SERVICES),
    Action("stop", ("x",), "Stop services", changes=True, screens=ABOUT_SERVICES),
    Action("handover", ("h",), "Restart by handover", changes=True, screens=ABOUT_SERVICES),
    Action("reload", (), "Reload the configuration", changes=True),
    Action("publish", ("P",), "Publish an event", changes=True),
    Action("edit", ("e",), "Edit the configuration, then check it", changes=True),
    Action("filter", ("/",), "Show only lines that match a regular expression"),
    Action("context", ("v",), "Show the lines around matches, too"),
    Action("next", ("n",), "Next match"),
    Action("previous", ("N",), "Previous match"),
    Action("follow", ("f",), "Follow new lines, or stay", screens=STREAMS),
    Action("wrap", ("w",), "Wrap long lines, or cut them"),
    Action("times", ("t",), "Show times, or hide them", screens=("logs", "events")),
    Action("mark", ("m",), "Draw a line here and now", screens=STREAMS),
    Action("clear", ("c",), "Clear the view", screens=STREAMS),
    Action("pattern", ("T",), "Tap only subjects that match a pattern", screens=("events",)),
    Action("copy", ("y",), "Copy the line, the selected lines, or what the mouse has selected"),
    Action("pager", ("o",), "Open the lines in $PAGER"),
    Action("pause", ("p",), "Pause plots and tap, or go on"),
    Action("sort", ("S",), "Sort by the next column", screens=("overview",)),
    Action("order", ("O",), "Reverse the order", screens=("overview",)),
    Action("refresh", ("ctrl+r",), "Ask again", screens=("doctor", "service")),
    Action("palette", (":", "ctrl+p"), "Every action by its name"),
    Action("help", ("?",), "All keys"),
    Action("quit", ("q", "ctrl+c"), "Quit"),
)
"""In the order of the help."""


def with_users_keys(text: str, file: str) -> tuple[Action, ...]:
    """Return the actions with the keys of a user's file; raises ConfigError.

    A key that the file gives to an action is taken from any other, unless the file gives it to
    both.
    """
    given = _table(text, file)
    taken: dict[str, str] = {}
    for name, keys in given.items():
        for key in keys:
            if key in taken:
                raise _fault(file, f"keys.{name}: {key!r} is already for {taken[key]!r}")
            taken[key] = name
    return tuple(
        replace(action, keys=given[action.name])
        if action.name in given
        else replace(action, keys=tuple(key for key in action.keys if key not in taken))
        for action in ACTIONS
    )


def _table(text: str, file: str) -> Mapping[str, tuple[str, ...]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _fault(file, str(error)) from None
    if unknown := sorted(set(document) - {"keys"}):
        raise _fault(file, f"unknown key {unknown[0]!r}; there is only the table 'keys'")
    table = document.get("keys", {})
    if not isinstance(table, dict):
        raise _fault(file, "keys: must be a table of actions and their keys")
    return {name: _keys(name, keys, file) for name, keys in table.items()}


def _keys(name: str, keys: Any, file: str) -> tuple[str, ...]:
    names = [action.name for action in ACTIONS]
    if name not in names:
        meant = nearest_name(name, names)
        raise _fault(
            file, f"keys.{name}: no such action" + (f"; did you mean {meant!r}?" if meant else "")
        )
    listed = [keys] if isinstance(keys, str) else keys
    if not isinstance(listed, list) or not all(isinstance(key, str) and key for key in listed):
        raise _fault(file, f"keys.{name}: must be a key such as 'x' or 'ctrl+x', or a list of them")
    return tuple(listed)


def _fault(file: str, message: str) -> ConfigError:
    return ConfigError([Diagnostic(message, file=file, hint="pyroctl(1), KEYS, lists the actions")])


def useful(actions: Sequence[Action], screen: str, *, view_only: bool) -> list[Action]:
    """Return the actions that have a meaning on a screen."""
    return [
        action
        for action in actions
        if (not action.screens or screen in action.screens) and not (view_only and action.changes)
    ]
