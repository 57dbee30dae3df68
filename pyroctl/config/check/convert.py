"""From valid tables to core values, and from core values back to settings."""

from __future__ import annotations

from os.path import join, normpath
from typing import TYPE_CHECKING

from pyroctl.config.check.models import Command, EventService, NameServer, PyroObject
from pyroctl.config.check.types import UNIX
from pyroctl.core.instances import expand
from pyroctl.core.spec import (
    CommandOptions,
    CommandReady,
    DelayReady,
    Deployment,
    EventServiceOptions,
    LogReady,
    LogSpec,
    NameReady,
    NameServerOptions,
    NotifyReady,
    ObjectOptions,
    PortReady,
    ServiceSpec,
    WatchdogSpec,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.config.check.models import Log, Ready, Service
    from pyroctl.config.check.validate import Validated
    from pyroctl.core.spec import Options, Readiness


def to_deployment(
    validated: Validated,
    environments: Mapping[str, Mapping[str, str]],
    file: str | None,
    directory: str,
) -> Deployment:
    """Make the core value; `environments` are the services' variables from their env files."""
    services = {
        name: _spec(name, service, environments.get(name, {}), directory)
        for name, service in validated.services.items()
    }
    counts = {
        name: table.instances
        for name, table in validated.services.items()
        if isinstance(table, PyroObject | Command) and table.instances is not None
    }
    return Deployment(
        validated.manager.name,
        expand(services, counts),
        directory,
        file,
        orphans=validated.manager.orphans,
    )


def _spec(name: str, table: Service, env: Mapping[str, str], directory: str) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        options=_options(table, directory),
        enabled=table.enabled,
        needs=tuple(dict.fromkeys(table.needs)),
        on_needs=table.on_needs,
        on_failure=table.on_failure,
        restart=table.restart,
        restart_delay=table.restart_delay,
        restart_max_delay=table.restart_max_delay,
        start_limit=table.start_limit,
        start_window=table.start_window,
        start_timeout=table.start_timeout,
        stop_signal=table.stop_signal,
        stop_timeout=table.stop_timeout,
        success_exit=tuple(table.success_exit),
        env={**env, **table.env},
        cwd=None if table.cwd is None else absolute(table.cwd, directory),
        user=table.user,
        group=table.group,
        umask=None if table.umask is None else int(table.umask, 8),
        nice=table.nice,
        limits=table.limits,
        log=_log(table.log),
        watchdog=_watchdog(table),
        max_rss=table.max_rss,
        max_cpu=table.max_cpu,
        window=table.window,
    )


def _options(table: Service, directory: str) -> Options:
    match table:
        case NameServer():
            storage = table.storage
            if storage.startswith("sql:"):
                storage = "sql:" + absolute(storage.removeprefix("sql:"), directory)
            return NameServerOptions(
                table.host, table.port, storage, table.broadcast, table.autoclean
            )
        case EventService():
            ident_file = table.ident_file
            host = table.host
            if host.startswith(UNIX):
                host = UNIX + absolute(host.removeprefix(UNIX), directory)
            return EventServiceOptions(
                host=host,
                port=table.port,
                socket_mode=table.socket_mode,
                queue_size=table.queue_size,
                queue_bytes=table.queue_bytes,
                when_full=table.when_full,
                block_timeout=table.block_timeout,
                max_message_size=table.max_message_size,
                max_connections=table.max_connections,
                max_connections_per_peer=table.max_connections_per_peer,
                max_subscribers=table.max_subscribers,
                max_subscriptions=table.max_subscriptions,
                handshake_timeout=table.handshake_timeout,
                trusted=table.trusted,
                ident_file=None if ident_file is None else absolute(ident_file, directory),
                ns=table.ns,
                on_restart=table.on_restart,
            )
        case PyroObject():
            return _object(table, directory)
        case Command():
            return CommandOptions(tuple(table.command), _readiness(table.ready))
    raise TypeError(f"no core value for {table!r}")


def _log(table: Log) -> LogSpec:
    return LogSpec(
        table.max_bytes, table.keep, table.max_age, table.total_bytes, table.gzip, table.stderr
    )


def _watchdog(table: Service) -> WatchdogSpec | None:
    """Give what is written; what is left out is on for an event service only."""
    found = table.watchdog
    if found is not None:
        command = None if found.command is None else tuple(found.command)
        return WatchdogSpec(
            found.every, found.timeout, found.failures, found.port, found.host, command
        )
    left_out = "watchdog" not in table.model_fields_set
    return WatchdogSpec() if left_out and isinstance(table, EventService) else None


def _object(table: PyroObject, directory: str) -> ObjectOptions:
    def file(path: str | None) -> str | None:
        return None if path is None else absolute(path, directory)

    return ObjectOptions(
        object=table.object,
        path=tuple(absolute(entry, directory) for entry in table.path),
        pyro_name=table.pyro_name,
        metadata=tuple(table.metadata),
        host=table.host,
        port=table.port,
        nathost=table.nathost,
        natport=table.natport,
        servertype=table.servertype,
        threadpool=table.threadpool,
        serializer=table.serializer,
        max_message_size=table.max_message_size,
        commtimeout=table.commtimeout,
        ssl_servercert=file(table.ssl_servercert),
        ssl_serverkey=file(table.ssl_serverkey),
        ssl_cacerts=file(table.ssl_cacerts),
        ssl_requireclientcert=table.ssl_requireclientcert,
        ssl_clientcert=file(table.ssl_clientcert),
        ssl_clientkey=file(table.ssl_clientkey),
        ns=table.ns,
    )


def _readiness(ready: Ready | None) -> Readiness:
    if ready is None:
        return NotifyReady()
    if ready.port is not None:
        return PortReady(ready.port, ready.host)
    if ready.log is not None:
        return LogReady(ready.log)
    if ready.pyro_name is not None:
        return NameReady(ready.pyro_name)
    if ready.command is not None:
        return CommandReady(tuple(ready.command), ready.every)
    return DelayReady() if ready.delay is None else DelayReady(ready.delay)


def absolute(path: str, directory: str) -> str:
    """Let a relative path start at the configuration file's directory."""
    return normpath(join(directory, path))
