"""What runs without a configuration on this machine: with a page, if the extra is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from pyroctl.core.spec import builtin_deployment

if TYPE_CHECKING:
    from pyroctl.core.spec import Deployment

EXTRA = ("starlette", "uvicorn")
"""What the page imports."""


def has_page() -> bool:
    """Return whether a page can run here."""
    return all(find_spec(name) for name in EXTRA)


def builtin(directory: str) -> Deployment:
    """Return the built-in deployment."""
    return builtin_deployment(directory, page=has_page())
