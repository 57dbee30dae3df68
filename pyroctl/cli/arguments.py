"""Arguments that the shell completes from the configuration, without starting anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli.app import App
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_OFFERED = 100
"""Instances of one service that are offered as completions."""


class _Completed(click.ParamType[str]):
    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        """Offer what the configuration contains, even if parts of it are broken."""
        from click.shell_completion import CompletionItem

        from pyroctl.config.source.sources import written_tables

        app = ctx.find_root().ensure_object(App)
        try:
            words = list(self.candidates(written_tables(app.config, os.environ)))
        except (AttributeError, TypeError, PyroctlError):
            return []
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]

    def candidates(self, tables: dict[str, Any]) -> Iterable[str]:
        """Return the values that fit a configuration."""
        raise NotImplementedError


class ServiceName(_Completed):
    """The name of a service or of one of its instances."""

    name = "service"

    def candidates(self, tables: dict[str, Any]) -> Iterable[str]:
        """Return the names of all services, and after them those of their instances."""
        from pyroctl.core.instances import numbered

        services = tables.get("services", {})
        names = list(services)
        for name, table in services.items():
            count = table.get("instances", 0)
            names += numbered(name, min(count, MOST_OFFERED)) if count else ()
        return names


class ConfigKey(_Completed):
    """A dotted key of the configuration."""

    name = "key"

    def candidates(self, tables: dict[str, Any]) -> Iterable[str]:
        """Return the keys of all services in the configuration."""
        from pyroctl.config.edit.keys import known_keys

        return known_keys(tables)


services_argument = click.argument("services", nargs=-1, type=ServiceName(), metavar="[SERVICE]...")
