"""The guard of names: whom it asks, and what it does without an answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from Pyro5.errors import NamingError

from pyro_names import guard as module
from pyro_names.guard import NameGuard

CLIENT, SERVER = ("127.0.0.1", 1), ("127.0.0.1", 2)


class Manager:
    """The other end of a control channel, which answers at once, or never."""

    def __init__(self, guard: NameGuard, *, ours: bool | None) -> None:
        self.asked: list[dict[str, Any]] = []
        self._guard = guard
        self._ours = ours

    def report(self, subject: str, **content: Any) -> bool:
        """Take a question."""
        assert subject == "caller"
        self.asked.append(content)
        if self._ours is not None:
            self._guard.answer(content["number"], ours=self._ours)
        return True


def guarded(*, ours: bool | None) -> tuple[NameGuard, Manager]:
    guard = NameGuard(["es"])
    manager = Manager(guard, ours=ours)
    guard.ask(manager)  # type: ignore[arg-type] # it has what is needed
    guard.complete()
    return guard, manager


def test_only_guarded_names_are_asked_about() -> None:
    """The manager learns both ends of the connection."""
    guard, manager = guarded(ours=True)
    guard.check(["other"], CLIENT, SERVER)
    assert manager.asked == []
    guard.check(["other", "es"], CLIENT, SERVER)
    assert manager.asked == [{"number": 1, "client": CLIENT, "server": SERVER}]
    assert guard.refused == 0


def test_names_of_services_are_guarded_until_they_are_removed() -> None:
    """Reserved ones are for good."""
    guard, _ = guarded(ours=False)
    guard.protect(["stage"])
    for name in ("stage", "es"):
        with pytest.raises(NamingError, match=f"the name {name} belongs to a service"):
            guard.check([name], CLIENT, SERVER)
    guard.release(["stage", "es"])
    guard.check(["stage"], CLIENT, SERVER)
    with pytest.raises(NamingError):
        guard.check(["es"], CLIENT, SERVER)
    assert guard.refused == 3


def test_a_stranger_has_no_name_guarded() -> None:
    """What a service has registered stays guarded; what it registers again is."""
    guard, _ = guarded(ours=False)
    guard.protect(["stage"])
    guard.expose(["stage", "free"])
    assert [name for name in ("stage", "free") if guard.is_strange(name)] == ["free"]
    guard.protect(["free"])
    guard.expose(["free"])
    assert not guard.is_strange("free")
    guard.release(["free"])
    guard.expose(["free"])
    guard.trust(["free"])
    assert not guard.is_strange("free")


@pytest.mark.parametrize("left", [True, False])
def test_nobody_vouches_without_a_manager(monkeypatch: pytest.MonkeyPatch, left: bool) -> None:
    """One that doesn't answer is waited for only so long; an answer that is late does nothing."""
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.01)
    guard, _ = guarded(ours=None)
    if left:
        guard.leave()
    with pytest.raises(NamingError):
        guard.check(["es"], CLIENT, SERVER)
    guard.answer(1, ours=True)
    with pytest.raises(NamingError):
        guard.check(["es"], None, SERVER)


def test_no_name_changes_before_the_manager_has_told_whose_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that has just started knows no names of services; clients wait until it does.

    If the manager never tells, each name may be a service's; if it is gone, none is.
    """
    guard = NameGuard()
    manager = Manager(guard, ours=False)
    guard.ask(manager)  # type: ignore[arg-type] # it has what is needed
    with ThreadPoolExecutor(2) as clients:
        stranger = clients.submit(guard.check, ["stage"], CLIENT, SERVER)
        other = clients.submit(guard.check, ["other"], CLIENT, SERVER)
        assert wait([stranger, other], timeout=0.05).done == set()
        guard.protect(["stage"])
        guard.complete()
        with pytest.raises(NamingError, match="stage"):
            stranger.result()
        other.result()
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.01)
    guard.ask(manager)  # type: ignore[arg-type] # the same
    with pytest.raises(NamingError):
        guard.check(["other"], CLIENT, SERVER)
    guard.leave()
    guard.check(["other"], CLIENT, SERVER)
