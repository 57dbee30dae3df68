"""The actions of `pyroctl top` and their keys."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

import pytest

from pyroctl.errors import ConfigError
from pyroctl.tui.keys import ACTIONS, SCREENS, useful, with_users_keys

if TYPE_CHECKING:
    from pyroctl.tui.app import Top


def keys_of(actions, name):
    return next(action.keys for action in actions if action.name == name)


def test_no_key_means_two_things():
    used = Counter(key for action in ACTIONS for key in action.keys)
    assert {key for key, times in used.items() if times > 1} == set()


def test_each_action_is_a_screen_or_has_a_handler():
    pytest.importorskip("textual", reason="pyroctl[tui] is not installed")
    from pyroctl.tui.handlers import handlers

    assert {action.name for action in ACTIONS} == set(SCREENS) | set(handlers(cast("Top", None)))


def test_all_keys_of_the_contract_are_there():
    moving = "j k up down g G ctrl+d ctrl+u / n N enter escape f w t space a"
    acting = "m c s r x y h o e p : S O ? q"
    assert set(f"{moving} {acting}".split()) | set("1234567") <= {
        key for a in ACTIONS for key in a.keys
    }


def test_a_users_key_replaces_those_of_its_action_and_is_taken_from_others():
    actions = with_users_keys('[keys]\nstop = "k"\nquit = ["ctrl+q", "q"]\n', "top.toml")
    assert keys_of(actions, "stop") == ("k",)
    assert keys_of(actions, "up") == ("up",)
    assert keys_of(actions, "quit") == ("ctrl+q", "q")
    assert keys_of(actions, "start") == ("s",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[keys]\nstops = 'x'", "keys.stops: no such action; did you mean 'stop'?"),
        ("[keys]\nstop = 'd'\nquit = 'd'", "keys.quit: 'd' is already for 'stop'"),
        ("[keys]\nstop = 3", "keys.stop: must be a key"),
        ("[keys]\nstop = ['']", "keys.stop: must be a key"),
        ("keys = 1", "keys: must be a table"),
        ("[colours]", "unknown key 'colours'"),
        ("[keys", "top.toml"),
    ],
)
def test_a_fault_in_the_users_file_is_told_with_its_place(text, told):
    with pytest.raises(ConfigError) as caught:
        with_users_keys(text, "/home/me/top.toml")
    assert told in str(caught.value.diagnostics[0])
    assert "/home/me/top.toml" in str(caught.value.diagnostics[0])


def test_a_view_offers_nothing_that_changes_something():
    for screen in SCREENS:
        assert not any(action.changes for action in useful(ACTIONS, screen, view_only=True))
    assert "start" in {action.name for action in useful(ACTIONS, "overview", view_only=False)}
    assert "start" not in {action.name for action in useful(ACTIONS, "logs", view_only=False)}
