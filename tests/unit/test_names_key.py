"""The key by which services prove to their manager's name server that they are its own."""

from __future__ import annotations

import pytest

from pyro_wire import names_key
from pyro_wire.names_key import VARIABLE, NamesKey

ENVIRON = {VARIABLE: "secret"}
HERE = ("127.0.0.1", 9090)


def test_a_service_of_the_manager_is_recognized_once() -> None:
    """A greeting is for one connection to one address, and has no trace of the key."""
    server = NamesKey(ENVIRON)
    greeting = names_key.greeting(ENVIRON, HERE)
    assert greeting is not None
    assert "secret" not in greeting
    assert not server.is_ours(greeting, ("127.0.0.1", 9091))
    assert server.is_ours(greeting, HERE)
    assert not server.is_ours(greeting, HERE)
    assert server.is_ours(names_key.greeting(ENVIRON, HERE), HERE)


@pytest.mark.parametrize("data", ["hello", None, 7, "v1:1:2:3", {"a": 1}])
def test_others_are_nobodys(data: object) -> None:
    """Whatever they say; and without a manager there is no greeting."""
    assert not NamesKey(ENVIRON).is_ours(data, HERE)
    assert not NamesKey({}).is_ours(names_key.greeting(ENVIRON, HERE), HERE)
    other = names_key.greeting({VARIABLE: "other"}, HERE)
    assert not NamesKey(ENVIRON).is_ours(other, HERE)
    assert names_key.greeting({}, HERE) is None


def test_a_greeting_is_valid_for_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock of this machine."""
    now = [1000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    server, old = NamesKey(ENVIRON), names_key.greeting(ENVIRON, HERE)
    now[0] += 31
    assert not server.is_ours(old, HERE)
    assert server.is_ours(names_key.greeting(ENVIRON, HERE), HERE)
    now[0] += 61
    assert server.is_ours(names_key.greeting(ENVIRON, HERE), HERE)
    assert len(server._used) == 1
