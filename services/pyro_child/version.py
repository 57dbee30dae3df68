"""The version of the package that the services come with."""

from __future__ import annotations


def installed_version() -> str:
    """Return the version of the installed package, or `unknown`."""
    from importlib import metadata  # noqa: PLC0415 - slow, and seldom needed

    try:
        return metadata.version("pyroctl")
    except metadata.PackageNotFoundError:
        return "unknown"
