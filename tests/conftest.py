"""Fixtures for the tests of real processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of the test's own; afterwards nothing of it may be left."""
    found = Deployment(tmp_path)
    try:
        yield found
    finally:
        found.close()
