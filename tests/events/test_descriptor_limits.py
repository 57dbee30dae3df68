"""How many connections fit into the descriptors that the system grants."""

from __future__ import annotations

import pytest

from pyro_events._app.limits import SPARE, fit
from pyro_events._broker.settings import Settings

BESIDE = SPARE + Settings().max_handshakes


@pytest.mark.parametrize(
    ("descriptors", "expected"),
    [
        (1 << 20, 10_000),
        (18_000 + BESIDE, 10_000),
        (17_999 + BESIDE, 9_999),
        (16_000 + BESIDE, 8_000),
        (10_000 + BESIDE, 5_000),
        (1024, 334),
        (SPARE, 1),
        (10, 1),
    ],
)
def test_connections_and_subscribers_share_the_descriptors(descriptors: int, expected: int) -> None:
    """A shortage reduces connections, but never takes the half that subscribers get."""
    assert fit(Settings(), descriptors).max_connections == expected


def test_settings_that_fit_stay() -> None:
    """Nothing changes where there are enough descriptors."""
    settings = Settings(max_connections=10, max_subscribers=10)
    assert fit(settings, BESIDE + 20) is settings
    assert fit(Settings(max_connections=10), 1000) == Settings(max_connections=10)
