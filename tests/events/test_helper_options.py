"""What programs for Pyro3 say, and what is refused when a helper is made."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import AsyncSubscriber, Publisher, ReconnectingProxy, Subscriber
from tests.events.client_fixtures import Recording
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.service_harness import Running

pytestmark = pytest.mark.usefixtures("tidy")


def test_the_old_names_of_arguments(engine: Any) -> None:
    """`esURI` is `es`; giving both is an error, whichever helper it is."""
    es: Running = engine()
    with Publisher(esURI=es.uri, ident=None) as pub, Recording(esURI=es.uri) as sub:
        pub.publish("a", 1)
        sub.subscribe("a")
    for kind in (Publisher, Subscriber, AsyncSubscriber):
        with pytest.raises(TypeError, match="es and esURI, its old name, are both given"):
            kind(es.uri, esURI=es.uri)
        with pytest.raises(ValueError, match="es must be a PYRO: or PYRONAME: URI"):
            kind(esURI="PYROMETA:x")
        with pytest.raises(ValueError, match=r"es 'PYRO:.* can't be encoded"):
            kind("PYRO:a\ud800@localhost:1")
    with pytest.raises(ValueError, match=r"uri 'PYRO:.* can't be encoded"):
        ReconnectingProxy("PYRO:a\ud800@localhost:1")


def test_abort_listen(engine: Any) -> None:
    """Setting `abortListen` is `abort`, and it can be read, and taken back."""
    with Recording(engine().uri) as sub:
        thread = threading.Thread(target=sub.listen)
        thread.start()
        eventually(lambda: sub._listener)
        assert not sub.abortListen
        sub.abortListen = 1  # as programs of that time did
        thread.join(10)
        assert not thread.is_alive()
        assert not sub.abortListen
        sub.abortListen = True
        assert sub.abortListen
        sub.abortListen = False
        assert not sub.abortListen


@pytest.mark.parametrize("kind", [Subscriber, AsyncSubscriber])
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"when_full": "block"}, ValueError, r"Publisher\(patience=None\)"),
        ({"when_full": "drop"}, ValueError, "one of .*'drop-oldest'.*not 'drop'"),
        ({"when_full": 1}, ValueError, "not 1"),
        ({"queue_size": 0}, ValueError, "queue_size must be at least 1, not 0"),
        ({"queue_size": "10"}, TypeError, "not '10'"),
        ({"name": "\ud800"}, ValueError, "name .* can't be encoded"),
        ({"ident": "secret\ud800"}, ValueError, "^ident can't be encoded: surrogates"),
        ({"ident": 5}, TypeError, "ident must be a str, not int"),
    ],
)
def test_bad_options(
    kind: Callable[..., Any], options: dict[str, Any], error: type[Exception], words: str
) -> None:
    """They are refused at once, not by the first call, and a secret isn't shown."""
    with pytest.raises(error, match=words) as raised:
        kind(**options)
    assert "secret" not in str(raised.value)
