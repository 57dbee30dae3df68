"""Pickles are opened only by programs that share the key of their sender."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import hmac
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyro_events
from pyro_events import AsyncSubscriber, Publisher
from pyro_events.signed_pickle import BadSignature, SignedPickle
from tests.events.client_fixtures import Recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.service_harness import Running

KEY = bytes(range(32))
PACKAGE = Path(pyro_events.__file__).parent
opened: list[str] = []


def trace(text: str) -> None:
    opened.append(text)


class Spy:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self) -> Any:
        return trace, ("opened",)


@pytest.fixture(autouse=True)
def nothing_opened() -> None:
    opened.clear()


def reject(box: SignedPickle, message: Any) -> str:
    with pytest.raises(BadSignature) as caught:
        box.loads(message)
    assert opened == []
    return str(caught.value)


@pytest.mark.parametrize(
    "value", [None, {"a": [1, (2, {3})]}, OrderedDict(a=1), bytearray(b"x"), Path("/tmp"), Spy]
)
def test_what_pickle_can_carry_round_trips(value: Any) -> None:
    """This includes types that the codec refuses."""
    box = SignedPickle(KEY)
    again = box.loads(box.dumps(value))
    assert (type(again), again) == (type(value), value)


def test_nothing_is_unpickled_under_another_key() -> None:
    """The right key for another purpose does not open it either."""
    message = SignedPickle(KEY).dumps(Spy())
    for key in (KEY[:-1], KEY + b"\0", bytes(32)):
        assert "another key" in reject(SignedPickle(key), message)
    SignedPickle(KEY).loads(message)
    assert opened == ["opened"]


def test_nothing_is_unpickled_that_was_changed() -> None:
    """A changed byte, a cut anywhere, or additional bytes are detected."""
    box = SignedPickle(KEY)
    message = box.dumps(Spy())
    for index in range(len(message)):
        changed = bytearray(message)
        changed[index] ^= 1
        reject(box, bytes(changed))
        reject(box, message[:index])
    reject(box, message + b"\0")
    reject(box, b"\0" + message)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_are_unpickled(data: bytes) -> None:
    """This holds with a valid header and without."""
    box = SignedPickle(KEY)
    header = box.dumps(0).partition(b"\0")[0] + b"\0"
    for message in (data, header + data):
        with pytest.raises(BadSignature):
            box.loads(message)


@pytest.mark.parametrize("message", [None, "text", 7, {"data": "", "encoding": "base64"}, [b"x"]])
def test_other_messages_of_that_subject_are_refused_alike(message: Any) -> None:
    """Any client may publish anything under any subject."""
    assert "not a signed pickle" in reject(SignedPickle(KEY), message)


def test_a_signature_made_for_another_purpose_is_refused() -> None:
    """The header is signed, too: the same key may serve other purposes."""
    payload = pickle.dumps(Spy())
    signature = hmac.digest(KEY, payload, hashlib.sha256)
    header = SignedPickle(KEY).dumps(0).partition(b"\0")[0] + b"\0"
    reject(SignedPickle(KEY), header + signature + payload)


@pytest.mark.parametrize("key", [b"", b"x" * 15])
def test_short_keys_are_refused(key: bytes) -> None:
    """They could be guessed."""
    with pytest.raises(ValueError, match="at least 16 are needed"):
        SignedPickle(key)


@pytest.mark.parametrize("key", [None, "a text of more than 16", bytearray(32)])
def test_keys_are_bytes(key: Any) -> None:
    """A key must be immutable."""
    with pytest.raises(TypeError, match="the key must be bytes"):
        SignedPickle(key)


def test_the_key_is_not_shown() -> None:
    """It appears neither in logs nor in tracebacks."""
    assert repr(SignedPickle(b"secretsecretsecret")) == "SignedPickle(…)"


@pytest.mark.parametrize("delivery", ["stream", "callback"])
def test_it_travels_as_an_opaque_message(engine: Callable[..., Running], delivery: Any) -> None:
    """It passes through the event service, which can't read it."""
    es, box = engine(), SignedPickle(KEY)
    with Recording(es.uri, delivery=delivery) as sub, Publisher(es.uri) as pub:
        sub.subscribe("a")
        sub.start()
        pub.publish("a", box.dumps(Path("/tmp")), opaque=True)
        pub.post("a", box.dumps(OrderedDict(a=1)), opaque=True)
        assert [box.loads(message) for message in sub.wait(2)] == [Path("/tmp"), OrderedDict(a=1)]


def test_it_travels_to_asyncio(engine: Callable[..., Running]) -> None:
    """It arrives there, too."""
    es, box = engine(), SignedPickle(KEY)

    async def receive() -> Any:
        async with AsyncSubscriber(es.uri) as sub:
            await sub.subscribe("a")
            with Publisher(es.uri) as pub:
                pub.publish("a", box.dumps({1, 2}), opaque=True)
            async for event in sub:
                return box.loads(event.msg)
        return None

    assert asyncio.run(receive()) == {1, 2}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_nothing_but_this_module_can_unpickle() -> None:
    """No module of the event service or its helpers imports pickle, or what imports it here."""
    forbidden = {"pickle", "_pickle", "cloudpickle", "dill", "shelve", "pyro_events.signed_pickle"}
    modules = {path for path in PACKAGE.rglob("*.py") if path.name != "signed_pickle.py"}
    assert len(modules) > 30
    assert [path for path in modules if imported(path) & forbidden] == []
    assert "pickle" in imported(PACKAGE / "signed_pickle.py")


def test_the_event_service_loads_no_marshal() -> None:
    """It writes marshal for stock subscribers; reading it is as dangerous as a pickle."""
    users = {path for path in PACKAGE.rglob("*.py") if "marshal" in imported(path)}
    assert {path.name for path in users} == {"encoder.py"}
    for path in users:
        assert "marshal.load" not in path.read_text()
