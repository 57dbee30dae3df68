"""Gathers all facts, each part as far as it can be known."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pyroctl.config.load import load
from pyroctl.control.client import call
from pyroctl.core.names import names_here
from pyroctl.core.spec import EventServiceOptions, NameServerOptions
from pyroctl.doctor.facts import Facts, HostFacts, PlaceFacts, PortFacts, ServiceFacts
from pyroctl.doctor.gather import host, name_server, place, processes, storage
from pyroctl.errors import ConfigError, ManagerNotRunning, PyroctlError
from pyroctl.manager.cleanup import orphan_scan
from pyroctl.manager.process import listeners, port_owner
from pyroctl.paths import certs_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.core.spec import Deployment
    from pyroctl.paths import Paths

T = TypeVar("T")
MINIMUM_LOOK = 0.5
"""Seconds for which subjects are counted at least."""


class Where(NamedTuple):
    """Which deployment is meant, and from where."""

    paths: Paths
    config: str | None
    root: str | None
    environ: Mapping[str, str]
    cwd: str


class Gathering:
    """Gathers once; what fails is recorded and left out."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._unknown: list[str] = []
        self._error: str | None = None
        self._env_files: tuple[tuple[str, str], ...] = ()
        """Services and the files that their variables come from."""

    def facts(self) -> Facts:
        """Return all facts."""
        where, began = self._where, time.monotonic()
        deployment, faults, doubts = self._configuration()
        status = self._ask("status", services=list(deployment.services) if deployment else [])
        measured = self._ask("measure") if status else None
        manager = status["manager"] if status else None
        services = self._services(deployment, status, measured, began)
        unit = place.unit_file(deployment.name if deployment else "", where.environ)
        grace = place.seconds(place.unit_settings(unit).get("TimeoutStopSec")) if unit else None
        numbers = measured["manager"] if measured else None
        changed = int((numbers or {}).get("pending_changes", 0))
        known = self._names(services)
        return Facts(
            now=datetime.now(UTC),
            environ=dict(where.environ),
            directory=where.cwd,
            config=where.config,
            deployment=deployment,
            faults=tuple(faults),
            doubts=tuple(doubts),
            pending=(f"{changed} files have changed since they were loaded",) if changed else (),
            manager=manager,
            manager_error=self._error,
            versions=processes.own_versions(),
            services=services,
            host=self._try("the host", lambda: host.host_facts(numbers, grace), HostFacts()),
            ports=self._try("ports", lambda: self._ports(deployment, services, manager), ()),
            name_server=known[0],
            round_trip=known[1].round_trip if known[1] else None,
            names=known[1].names if known[1] else (),
            broadcasters=self._broadcasters(deployment, known[0]),
            files=self._try("files", lambda: self._files(deployment), ()),
            disks=self._try("disks", lambda: tuple(storage.disk_facts(where.paths, services)), ()),
            place=self._try("directories", lambda: self._place(manager, deployment), PlaceFacts()),
            page=place.page_facts(deployment),
            unknown=tuple(self._unknown),
        )

    def _configuration(self) -> tuple[Deployment | None, list[Any], list[Any]]:
        where = self._where
        try:
            loaded = load(where.config, where.environ, where.cwd)
        except ConfigError as error:
            return None, error.entries(), []
        except PyroctlError as error:
            return None, error.entries(), []
        self._env_files = tuple(
            dict.fromkeys((str(path[1]), file) for path, (file, _) in loaded.variables.items())
        )
        doubts: list[Any] = []
        with contextlib.suppress(OSError):
            doubts += loaded.doubtful(where.environ)
        return loaded.deployment, [], [entry for each in doubts for entry in each.entries()]

    def _ask(self, do: str, **args: Any) -> dict[str, Any] | None:
        """Ask the manager; None without one, or without an answer."""
        if self._error is not None:
            return None
        try:
            reply = call(self._where.paths, do, args)
        except ManagerNotRunning:
            return None
        except PyroctlError as error:
            self._error = error.message
            return None
        data: dict[str, Any] | None = reply["data"]
        if data is None:
            self._unknown.append(f"{do}: {reply['errors'][0]['message']}")
        return data

    def _services(
        self,
        deployment: Deployment | None,
        status: Mapping[str, Any] | None,
        measured: Mapping[str, Any] | None,
        began: float,
    ) -> dict[str, ServiceFacts]:
        rows = {row["name"]: row for row in (status or {}).get("services", ())}
        numbers = {row["name"]: row for row in (measured or {}).get("services", ())}
        at = (measured or {}).get("manager", {})
        lived = time.time() - at["start_time"] if at.get("start_time") else 0.0
        found = {}
        for name, spec in deployment.services.items() if deployment is not None else ():
            number = {**numbers.get(name, {}), "lived": lived}
            environ = {**self._where.environ, **spec.env}
            found[name] = ServiceFacts(
                spec=spec, row=rows.get(name, {}), measured=number, environ=environ
            )
        asked = [n for n, s in found.items() if _serves(s) and self._ask("subjects", services=[n])]
        found = self._try("processes", lambda: self._with_processes(found), found)
        # events and processor time are counted between two looks
        time.sleep(max(0.0, began + MINIMUM_LOOK - time.monotonic()) if asked else 0.0)
        return {name: self._with_clients(name, facts) for name, facts in found.items()}

    def _with_processes(self, services: dict[str, ServiceFacts]) -> dict[str, ServiceFacts]:
        ports = {}
        for name, facts in services.items():
            with contextlib.suppress(ValueError):
                ports[int(str(facts.row.get("uri") or "").rpartition(":")[2])] = name
        sockets = processes.Sockets(ports, tuple(listeners.tcp_connections()))
        found = {}
        for name, facts in services.items():
            log = storage.last_lines(self._where.paths.service_log(name))
            found[name] = replace(facts, log=log)
            pid = facts.row.get("pid")
            if pid is None:
                continue
            environ = processes.variables(pid)
            connects, clients = sockets.of(processes.sockets_of(processes.members(pid)))
            found[name] = replace(
                found[name],
                environ=environ,
                versions=processes.versions(pid),
                connects=connects,
                clients=clients,
                buffered=processes.is_buffered(pid, environ),
                nofile=processes.open_files_limit(pid),
            )
        return found

    def _with_clients(self, name: str, facts: ServiceFacts) -> ServiceFacts:
        """Add what event services and name servers know of their clients."""
        options = facts.spec.options
        running = facts.row.get("state") == "running"
        if not running or not isinstance(options, (EventServiceOptions, NameServerOptions)):
            return facts
        losses = self._ask("foresee", services=[name], command="restart") or {}
        facts = replace(facts, losses=tuple(losses.get("consequences", ())))
        if not isinstance(options, EventServiceOptions):
            return facts
        rows = self._ask("subscriptions", services=[name]) or {}
        seen = self._ask("subjects", services=[name]) or {}
        return replace(
            facts,
            subscribers=tuple(rows.get("subscriptions", ())),
            subjects=tuple(seen.get("subjects", ())),
        )

    def _names(
        self, services: Mapping[str, ServiceFacts]
    ) -> tuple[str | None, name_server.Known | None]:
        """Return where the first name server is that runs, and what it tells."""
        places = [str(f.row["uri"]).rpartition("@")[2] for f in services.values() if _has_names(f)]
        if not places:
            return None, None
        ours = {name for each in services.values() for name in names_here(each.spec.options)}
        return places[0], self._try("names", lambda: name_server.ask(places[0], ours), None)

    def _broadcasters(self, deployment: Deployment | None, where: str | None) -> tuple[str, ...]:
        """Look for other name servers if ours answers broadcasts."""
        specs = deployment.services.values() if deployment is not None else ()
        asks = any(isinstance(s.options, NameServerOptions) and s.options.broadcast for s in specs)
        if not asks:
            return ()
        ours = [where] if where is not None else []
        return self._try("broadcasts", lambda: name_server.broadcasters(ours), ())

    def _ports(
        self,
        deployment: Deployment | None,
        services: Mapping[str, ServiceFacts],
        manager: Mapping[str, Any] | None,
    ) -> tuple[PortFacts, ...]:
        found = []
        for name, facts in services.items():
            port = getattr(facts.spec.options, "port", 0)
            if not isinstance(port, int) or not port:
                continue
            pid, keeper = facts.row.get("pid"), (manager or {}).get("pid")
            own = {*(processes.members(pid) if pid else ()), *([keeper] if keeper else ())}
            holder = port_owner.describe_other(port, own)
            about = str(getattr(facts.spec.options, "host", "localhost"))
            left = orphan_scan.find(self._where.paths.run) if holder and manager is None else {}
            orphan = not left.keys().isdisjoint(port_owner.holders(port))
            found.append(
                PortFacts(service=name, host=about, port=port, holder=holder, orphan=orphan)
            )
        return tuple(found)

    def _files(self, deployment: Deployment | None) -> tuple[Any, ...]:
        certs = certs_directory(self._where.root, self._where.environ)
        return tuple(storage.file_facts(deployment, certs, self._env_files))

    def _place(
        self, manager: Mapping[str, Any] | None, deployment: Deployment | None
    ) -> PlaceFacts:
        where = self._where
        running = manager if manager is not None or self._error is None else {"version": ""}
        found = place.place_facts(where.paths, where.config, where.environ, running, deployment)
        return found if manager is not None else replace(found, running=None)

    def _try(self, what: str, find: Callable[[], T], default: T) -> T:
        try:
            return find()
        except (OSError, ValueError, KeyError, PyroctlError) as error:
            self._unknown.append(f"{what}: {error}")
            return default


def gather(paths: Paths, config: str | None, root: str | None) -> Facts:
    """Return the facts about a deployment, as far as they can be known; it takes ≤ 5 s."""
    return Gathering(Where(paths, config, root, os.environ, os.getcwd())).facts()


def _has_names(facts: ServiceFacts) -> bool:
    options = facts.spec.options
    plain = isinstance(options, NameServerOptions) and options.tls != "required"
    return plain and bool(facts.row.get("uri"))


def _serves(facts: ServiceFacts) -> bool:
    running = facts.row.get("state") == "running"
    return running and isinstance(facts.spec.options, EventServiceOptions)
