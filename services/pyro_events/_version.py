"""Which version of the event service this is."""

from __future__ import annotations


def version() -> str:
    """Give the version of the installed package, or `unknown`."""
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415 - not needed to import this
    from importlib.metadata import version as installed  # noqa: PLC0415 - the same

    try:
        return installed("pyroctl")
    except PackageNotFoundError:
        return "unknown"
