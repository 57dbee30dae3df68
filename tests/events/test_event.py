"""Event objects through Pyro5's serializers, and what importing the package costs."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import msgpack
import pytest
from Pyro5.serializers import serializers

import pyro_events
from pyro_events import EVENTSERVICE_NAME, Event
from pyro_events._protocol.event import CALLS_NAME
from pyro_events.codec import pack

pytestmark = pytest.mark.usefixtures("each_codec")


@pytest.mark.parametrize("name", ["serpent", "marshal", "json", "msgpack"])
def test_an_event_survives_every_serializer(name: str) -> None:
    """A registered Event arrives as an Event, not as a list or a dict."""
    event = Event("Stock", {"price": 22.44, "names": ["SUN"]}, 1234.5)
    serializer = serializers[name]
    data = serializer.dumpsCall("object", "event", [event], {})
    assert serializer.loadsCall(data)[2][0] == event


@pytest.mark.parametrize("name", ["serpent", "json", "msgpack"])
def test_an_event_inside_an_event_survives(name: str) -> None:
    """Classes nested in a message are recreated, whichever way the serializer walks."""
    event = Event("outer", [Event("inner", 1, 2.0)], 3.0)
    serializer = serializers[name]
    assert serializer.loads(serializer.dumps(event)) == event


def test_an_event_that_can_not_be_read_is_one_call_that_fails() -> None:
    """In a batch the other calls succeed, and the error has the reason."""
    entries = [["a", 1.0, pack(1), False], ["b", 1.0, b"\xc1", False], ["c", 1.0, b"\xc1", True]]
    events = msgpack.packb(entries)
    data = msgpack.packb({"__class__": CALLS_NAME, "events": events})
    first, second, third = serializers["msgpack"].loads(data)
    assert [first[0], *first[1]] == ["event", Event("a", 1, 1.0)]
    assert [third[0], *third[1], third[2]] == ["event", Event("c", b"\xc1", 1.0), {}]
    with pytest.raises(ValueError, match="not a message"):
        print(*second[1], **second[2])


@pytest.mark.parametrize(
    "events", [b"", b"\x91\x90", b"\xc0", b"\xdd\x00\x40\x00\x00" + bytes(4 << 20)]
)
def test_nonsense_instead_of_events_is_an_error(events: bytes) -> None:
    """Any client may send such a value to a daemon; refusing it takes little time and memory."""
    data = msgpack.packb({"__class__": CALLS_NAME, "events": events})
    with pytest.raises((ValueError, TypeError)):
        serializers["msgpack"].loads(data)


def test_nan_survives_serpent() -> None:
    """Serpent's notation of NaN is converted back inside an event, too."""
    serializer = serializers["serpent"]
    event = serializer.loads(serializer.dumps(Event("x", [math.nan], 0.0)))
    assert math.isnan(event.msg[0])


def test_events_compare_by_value_and_are_not_hashable() -> None:
    """Messages may be mutable, so that equal events can't have a lasting hash."""
    assert Event("a", [1], 1.0) == Event("a", [1], 1.0) != Event("b", [1], 1.0)
    assert repr(Event("a", [1], 1.0)) == "Event(subject='a', msg=[1], time=1.0)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(Event("a", 1, 1.0))


def test_the_name_is_the_one_of_the_manual() -> None:
    """Programs look the service up by this name."""
    assert EVENTSERVICE_NAME == "Pyro.EventService"


def test_unknown_names_are_attribute_errors() -> None:
    """Lazy loading must not hide a misspelling."""
    package: Any = pyro_events
    with pytest.raises(AttributeError, match="Publsher"):
        _ = package.Publsher


def test_importing_the_package_loads_no_helper() -> None:
    """A program that needs only Event doesn't load sockets, asyncio or the service."""
    probe = (
        "import sys, pyro_events;"
        "print([m for m in ('asyncio', 'regex', 'Pyro5.server', 'pyro_events.service',"
        " 'pyro_events._client.reconnecting_connection') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
