"""Helpers can't be copied; trying to changes nothing."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import AsyncSubscriber, Publisher, ReconnectingProxy, Subscriber
from pyro_events.reconnecting import LifeCycle

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("tidy")
NOBODY = "PYRO:Pyro.EventService@127.0.0.1:1"


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize(
    "kind", [Publisher, Subscriber, AsyncSubscriber, ReconnectingProxy, LifeCycle]
)
def test_no_copies(kind: Any, copying: Callable[[object], object]) -> None:
    """A TypeError names the class and says what to do, however the copy was asked for."""
    helper = kind(NOBODY)
    for copied in (helper, [helper], helper.close):
        if copied is helper or copying is not copy.copy:  # copies of those share the helper
            with pytest.raises(TypeError, match=rf"{kind.__name__} can't be .*make another one"):
                copying(copied)
    helper._closed = True


def test_the_original_works_on(engine: Any) -> None:
    """A publisher of which a copy was tried, and dropped, is not closed by that."""
    with Publisher(engine().uri) as publisher:
        publisher.publish("a", 1)
        for copying in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                copying(publisher)
            publisher.publish("a", 2)
        assert publisher.statistics()["reconnects"] == 0


def test_a_copy_of_the_attributes(engine: Any) -> None:
    """An object that got a publisher's attributes in another way owns nothing of it."""
    with Publisher(engine().uri) as publisher:
        publisher.publish("a", 1)
        copied = object.__new__(Publisher)
        copied.__dict__.update(publisher.__dict__)
        del copied
        publisher.publish("a", 2)
        assert publisher.statistics()["acked"] == 2
