"""pyroctl(1) and the guide describe exactly the keys of `pyroctl top`."""

from __future__ import annotations

import re
from pathlib import Path

from pyroctl.tui.keys import ACTIONS

ROOT = Path(__file__).parents[2]


def test_every_action_is_described_with_its_keys() -> None:
    """The section KEYS has the actions in their order, with the keys and titles of the program."""
    page = (ROOT / "man" / "pyroctl.1").read_text()
    keys = page.partition(".Sh KEYS\n")[2].partition("\n.Sh ")[0]
    described = re.findall(r"^\.It Ic (\w+) Ta (.+) Ta (.+)$", keys, re.MULTILINE)
    assert [
        (name, tuple(key.removeprefix(r"\&") for key in listed.split(" , ")), title)
        for name, listed, title in described
    ] == [(action.name, action.keys or ("(none)",), action.title) for action in ACTIONS]
