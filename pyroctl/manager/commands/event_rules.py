"""Passes changed rules to event services that run: they take effect without a restart."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyroctl.core.keys import set_keys
from pyroctl.core.spec import EventServiceOptions
from pyroctl.errors import ServiceFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.spec import RuleSpec, ServiceSpec
    from pyroctl.manager.deployment.supervisor import Supervisor

log = logging.getLogger(__name__)


async def adopt_rules(
    supervisor: Supervisor, before: Mapping[str, ServiceSpec]
) -> dict[str, ServiceFailed]:
    """Pass the rules that differ from those before; return what has failed, by service."""
    failures = {}
    for name, unit in supervisor.units.items():
        rules, old = _rules_of(unit.spec), _rules_of(before.get(name))
        if unit.process is None or rules is None or rules == old:
            continue
        try:
            await unit.ask("allow", rules=[set_keys(rule) for rule in rules])
        except OSError as error:
            failures[name] = ServiceFailed(
                f"{name} did not take its new rules, and keeps the old ones: {error}",
                service=name,
                hint=f"pyroctl restart {name}",
            )
        else:
            log.info("%s has new rules", name)
    return failures


def _rules_of(spec: ServiceSpec | None) -> tuple[RuleSpec, ...] | None:
    options = spec.options if spec is not None else None
    return options.allow if isinstance(options, EventServiceOptions) else None
