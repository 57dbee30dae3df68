"""The kinds of services: what it takes to start one, and how it reports that it is ready."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, is_dataclass, replace
from typing import TYPE_CHECKING

from pyroctl.core.expansion.texts import filled, own_values, without_value
from pyroctl.core.instances import common_name
from pyroctl.core.key_types import PYTHON_NAMES, UNIX
from pyroctl.core.keys import keys_of, set_keys
from pyroctl.core.names import name_server_of
from pyroctl.core.options.page import WebOptions
from pyroctl.core.spec import (
    CommandOptions,
    DelayReady,
    EventServiceOptions,
    NameReady,
    NameServerOptions,
    NotifyReady,
    ObjectOptions,
    Program,
    TaskOptions,
)
from pyroctl.core.watchdog import SilenceCheck, check_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.core.key_types import Orphans
    from pyroctl.core.spec import Options, Readiness, ServiceSpec

WEB_PORT = 8787
"""The port of a page, unless another one is configured."""
OWN_VARIABLES = ("PYROCTL_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_")
"""Prefixes of variables that are meant for the manager itself; services don't inherit them."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP port on a host name or address; port 0 lets the system choose."""

    host: str
    port: int
    remedy: str = field(default="", compare=False)
    """How users choose another port."""
    or_any: bool = field(default=False, compare=False)
    """Whether any free port will do if that one is taken."""

    def __str__(self) -> str:
        return f"port {self.port} on {self.host}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket: its absolute path and its permissions."""

    path: str
    mode: int = 0o600

    def __str__(self) -> str:
        return self.path


ListenAddress = TcpAddress | UnixAddress


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """What a service may know about where it runs."""

    deployment: str
    directory: str
    """Where relative paths start."""
    python: str
    """The interpreter for our own services."""
    environ: Mapping[str, str]
    """The manager's environment."""
    ns: str | None = None
    """`HOST:PORT` of the deployment's name server, once it is ready."""
    run: str = ""
    """The deployment's runtime directory."""
    orphans: Orphans = "stop"
    """What happens to services when the manager is killed."""
    mark: str = ""
    """By which the cleanup process finds what the manager has started, if it is killed."""
    reserved: tuple[str, ...] = ()
    """Names in the name server that only our own services may change."""
    certs: str = ""
    """The directory of the site's certificates."""
    ns_tls: NameServerOptions | None = None
    """The options of the deployment's name server, if it accepts only TLS."""
    names_key: str = field(default="", repr=False)
    """By which our own services prove to the name server that they are ours."""
    needed: Mapping[str, str] = field(default_factory=dict)
    """What is known of the services that it needs, by placeholder: `es.uri`."""
    file: str | None = None
    """The configuration file; None for the built-in deployment."""
    state: str = ""
    """The deployment's state directory."""
    logs: str = ""
    """The directory of its logs."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to be started."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    readiness: Readiness
    controlled: bool
    """Whether it implements the child protocol (a control socket, answers about itself)."""
    listens: ListenAddress | None = None
    """Where the manager listens on its behalf; None: it opens its own sockets."""
    outlives: bool = False
    """Whether it keeps running when the manager is killed."""


def resolved(spec: ServiceSpec, context: LaunchContext) -> ServiceSpec:
    """Return the specification with its placeholders replaced, as far as they have a value."""
    return filled(spec, _values(spec, context))


def check_resolved(spec: ServiceSpec, context: LaunchContext) -> None:
    """Raise ValueError if a placeholder has no value."""
    word = without_value(spec, _values(spec, context))
    if word is not None:
        service, _, fact = word.rpartition(".")
        raise ValueError(f"{{{word}}} has no value: {service} has no {fact}")


def _values(spec: ServiceSpec, context: LaunchContext) -> dict[str, str]:
    return {**own_values(common_name(spec.name), spec.instance), **context.needed}


def launch(spec: ServiceSpec, context: LaunchContext) -> Launch:
    """Return what it takes to start a service."""
    spec = resolved(spec, context)
    options = spec.options
    env = _environment(spec, context)
    readiness = _readiness(options)
    if isinstance(readiness, NameReady) and readiness.ns is None:
        readiness = replace(readiness, ns=name_server_of(env))
    return Launch(
        argv=_argv(spec, context),
        env=env,
        cwd=spec.cwd or context.directory,
        readiness=readiness,
        controlled=not isinstance(options, Program),
        listens=_address(spec, context),
        outlives=context.orphans == "adopt",
    )


def _readiness(options: Options) -> Readiness:
    match options:
        case CommandOptions(ready=ready):
            return ready
        case TaskOptions():
            return DelayReady(0)  # it is up as long as it runs
    return NotifyReady()


def _argv(spec: ServiceSpec, context: LaunchContext) -> tuple[str, ...]:
    """Return the command line of a service.

    For an object, `-P`
    keeps modules in the working directory from shadowing those of the host, and the directory of
    the configuration is the last of `path`.
    """
    options, python = spec.options, context.python
    match options:
        case CommandOptions(command=command) | TaskOptions(command=command):
            return words(command, context)
        case EventServiceOptions(ns=ns):
            own = _arguments(replace(options, ns=ns or context.ns))
            return (python, "-m", "pyro_events", *own)
        case ObjectOptions(pyro_name=name, path=path, ns=ns):
            ns = (ns or context.ns) if options.all_names else None
            own = _arguments(replace(options, ns=ns, path=(*path, context.directory)))
            what = (options.object,) if options.object is not None else ()
            host = (python, "-P", "-m", "pyro_host", *what)
            own_id = (f"--id={name or spec.name}",) if ":" in (options.object or "") else ()
            return (*host, *own_id, *own)
        case WebOptions():
            return (python, "-P", "-m", "pyroctl.web", *_places(context), *_arguments(options))
    reserved = (f"--reserved={name}" for name in context.reserved)
    return (python, "-m", "pyro_names", *_arguments(options), *reserved)


def _places(context: LaunchContext) -> Iterator[str]:
    """Return the arguments that tell a page where the deployment is."""
    yield from (f"--logs={context.logs}", f"--state={context.state}")
    yield f"--directory={context.directory}"
    if context.file is not None:
        yield f"--config={context.file}"


def words(command: tuple[str, ...], context: LaunchContext) -> tuple[str, ...]:
    """Return the command line of a program that the configuration names.

    A bare `python` is the interpreter that runs the manager: so it finds the packages installed
    beside pyroctl without an active virtual environment.
    """
    program, *rest = command
    return (context.python if program in PYTHON_NAMES else program, *rest)


def _arguments(options: Options) -> Iterator[str]:
    """Return the options that have a value as arguments of our own services."""
    for key in keys_of(type(options)):
        value = getattr(options, key.name)
        if key.flag and value is True:
            yield key.flag
        elif key.type in {"Values", "Keywords"}:
            if value:
                yield f"{key.flag}={json.dumps(value, ensure_ascii=False)}"
        elif key.type == "Objects":
            yield from (f"{key.flag}={name}={text}" for name, text in value.items())
        elif key.flag and value is not None and value is not False:
            values = value if isinstance(value, tuple) else (value,)
            yield from (f"{key.flag}={_argument(each)}" for each in values)


def _argument(value: object) -> object:
    """Return what stands for a value on a command line: JSON for a table."""
    if not is_dataclass(value):
        return value
    return json.dumps(set_keys(value), ensure_ascii=False)


def _address(spec: ServiceSpec, context: LaunchContext) -> ListenAddress | None:
    """Return where the manager listens on behalf of a service."""
    options = spec.options
    match options:
        case CommandOptions() | TaskOptions():
            return None
        case ObjectOptions(serves_itself=True):
            return None
        case EventServiceOptions(host=host) if host.startswith(UNIX):
            return UnixAddress(host.removeprefix(UNIX), int(options.socket_mode, 8))
        case WebOptions(socket=str(path)):
            return UnixAddress(path)
    if context.file is None:
        variable = f"PYROCTL_SERVICES_{spec.name.upper()}_PORT"
        remedy = f"pyroctl shutdown, then {variable}=0 pyroctl start (0: any free one)"
    else:
        name = common_name(spec.name)
        remedy = f"set port of {name} (0: any free one), then pyroctl reload"
    if options.port is None:
        return TcpAddress(options.host, WEB_PORT, remedy, or_any=True)
    return TcpAddress(options.host, options.port, remedy)


def tls_variables(ns: NameServerOptions) -> Iterator[tuple[str, str]]:
    """Return the variables by which our services find the certificate of a name server with TLS."""
    yield "PYROCTL_NS_TLS", ns.tls
    yield "PYROCTL_NS_TLS_HOST", ns.host
    for name in ("certificate", "key", "ca"):
        file = getattr(ns, f"tls_{name}")
        if file is not None:
            yield f"PYROCTL_NS_TLS_{name.upper()}", file


def _environment(spec: ServiceSpec, context: LaunchContext) -> dict[str, str]:
    env = {
        name: value for name, value in context.environ.items() if not name.startswith(OWN_VARIABLES)
    }
    env.setdefault("PYTHONUNBUFFERED", "1")  # or the last output of a Python service is lost
    env.setdefault("PYRO_LOGFILE", "{stderr}")  # Pyro5 would write a file into the directory
    if context.ns is not None:
        host, _, port = context.ns.rpartition(":")
        env |= {"PYRO_NS_HOST": host.strip("[]"), "PYRO_NS_PORT": port}
    env |= {"PYROCTL_DEPLOYMENT": context.deployment, "PYROCTL_SERVICE": spec.name}
    if context.certs:
        env["PYROCTL_CERTS"] = context.certs
    if context.ns_tls is not None and getattr(spec.options, "ns", None) is None:
        env |= dict(tls_variables(context.ns_tls))
    if context.run and not isinstance(spec.options, WebOptions):  # it has a socket of its own
        env["PYROCTL_RUNTIME_DIR"] = context.run
    if context.mark and context.orphans == "stop":
        env["PYROCTL_RUN"] = context.mark
    check = check_of(spec)
    if isinstance(check, SilenceCheck):
        env["WATCHDOG_USEC"] = str(round(check.period * 1_000_000))  # sd_watchdog_enabled(3)
    if context.names_key and not isinstance(spec.options, Program):
        env["PYROCTL_NAMES_KEY"] = context.names_key
    if isinstance(spec.options, WebOptions):
        env.setdefault("MALLOC_ARENA_MAX", "1")  # threads that search would each keep memory
    if spec.instance is not None:
        env["PYROCTL_INSTANCE"] = str(spec.instance)
    return env | dict(spec.env)
