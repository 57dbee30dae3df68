"""From a specification to a command line and an environment."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pytest

import pyro_host.options
import pyro_names.options
from pyro_child.options import COUNT, MODE, PORT, POSITIVE_SECONDS, SECONDS, SIZE, declared
from pyro_events import EventService
from pyro_events._app.options import options_of, parser
from pyro_events._broker.settings import _SIZE, ServiceOptions, Settings, settings_of
from pyroctl.core.keys import keys_of
from pyroctl.core.spec import (
    CommandOptions,
    EventServiceOptions,
    LogReady,
    NameServerOptions,
    NotifyReady,
    ObjectOptions,
    ServiceSpec,
)
from pyroctl.kinds import LaunchContext, TcpAddress, UnixAddress, launch

HERE = LaunchContext(
    deployment="lab",
    directory="/etc/lab",
    python="/venv/bin/python",
    environ={
        "PATH": "/bin",
        "PYROCTL_ROOT": "/x",
        "NOTIFY_SOCKET": "/run/ours",
        "WATCHDOG_USEC": "1",
    },
    ns="localhost:9090",
)


def test_a_name_server_is_hosted_by_pyro_names() -> None:
    """Every option of the kind reaches the command line."""
    spec = ServiceSpec("ns", NameServerOptions("::1", 0, "sql:/var/names.db", True, 30.0))
    found = launch(spec, HERE)
    assert found.argv == (
        *("/venv/bin/python", "-m", "pyro_names", "--tls=off", "--host=::1", "--port=0"),
        *("--storage=sql:/var/names.db", "--broadcast", "--autoclean=30.0"),
    )
    assert (found.readiness, found.controlled) == (NotifyReady(), True)
    assert found.listens == TcpAddress("::1", 0)


def test_an_event_service_registers_in_the_deployments_name_server() -> None:
    """It uses that one unless the configuration names another."""
    spec = ServiceSpec("es", EventServiceOptions(port=9091, ident_file="/etc/ident"))
    assert {"--ns=localhost:9090", "--ident-file=/etc/ident"} <= {*launch(spec, HERE).argv}
    elsewhere = ServiceSpec("es", EventServiceOptions(ns="hub:9090"))
    assert "--ns=hub:9090" in launch(elsewhere, HERE).argv


def test_a_unix_socket_has_no_port() -> None:
    """The manager listens on its path for it, with the permissions that were asked for."""
    options = EventServiceOptions(host="./u:/run/es", socket_mode="0660")
    found = launch(ServiceSpec("es", options), HERE)
    assert found.listens == UnixAddress("/run/es", 0o660)
    assert {"--host=./u:/run/es", "--port=0", "--socket-mode=0660"} <= {*found.argv}


NOT_IN_A_FILE = {
    "nameserver": {"--reserved", "--bc-host", "--bc-port", "--nathost", "--natport"},
    "eventservice": {"--no-ns"},
    "object": {"object", "--id"},
}
"""Options of our services that are not keys of the configuration."""
READ_BY_THE_PROGRAM = {"--ident-file"}
"""Options that the service declares in its parser: they make another one's value."""
UNITS = {
    "Port": {PORT}, "FixedPort": {PORT}, "Positive": {COUNT}, "MessageSize": {SIZE, _SIZE},
    "Seconds": {SECONDS}, "Span": {POSITIVE_SECONDS}, "Mode": {MODE},
}  # fmt: skip
OTHERS = {
    "nameserver": (NameServerOptions, pyro_names.options.Options),
    "eventservice": (EventServiceOptions, ServiceOptions),
    "object": (ObjectOptions, pyro_host.options.Options),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_kind_is_declared_alike_by_the_manager_and_the_service(kind: str) -> None:
    """Both declare the same options, with the same defaults, units and choices."""
    ours, theirs = OTHERS[kind]
    keys = {key.flag: key for key in keys_of(ours) if key.flag}
    options = {
        (each.metadata["flags"] or ["--" + each.name.replace("_", "-")])[-1]: each
        for each in declared(theirs)
    }
    assert keys.keys() - READ_BY_THE_PROGRAM == options.keys() - NOT_IN_A_FILE[kind]
    for flag in keys.keys() & options.keys():
        key, option = keys[flag], options[flag]
        default = int(key.default, 8) if key.type == "Mode" else key.default
        default = {"Values": "[]", "Keywords": "{}", "Objects": ()}.get(key.type, default)
        assert option.default == default, flag
        assert option.metadata["unit"] in UNITS.get(key.type, {None}), flag
        choices = option.metadata["more"].get("choices", ())
        assert choices == (get_args(key.value) if key.type == "Choice" else ()), flag


def test_the_limits_of_an_event_service_reach_its_command_line() -> None:
    """Each option has the name that it has in the configuration, and `es` accepts it."""
    options = EventServiceOptions(
        queue_size=7, queue_bytes=2048, when_full="disconnect", patience=0.5, stuck_timeout=1.5,
        max_queued_bytes=1 << 20,
        max_message_size=4096, max_connections=11, max_connections_per_peer=12, max_subscribers=13,
        max_subscriptions=14, callback_allow=("10.0.0.0/24", "::1"),
        handshake_timeout=2.5, socket_mode="0660", trusted=True,
    )  # fmt: skip
    for each in (options, EventServiceOptions()):
        _, _, _, *arguments = launch(ServiceSpec("es", each), HERE).argv
        parsed = parser().parse_args(arguments)
        for key in keys_of(EventServiceOptions):
            value = getattr(each, key.name)
            if key.flag and key.name != "ns":
                value = int(value, 8) if key.type == "Mode" else value
                found = getattr(parsed, key.name)
                assert (tuple(found) if isinstance(found, list) else found) == value


def test_an_event_service_has_the_same_defaults_everywhere() -> None:
    """They agree for pyroctl, for `es`, and inside a program."""
    _, _, _, *arguments = launch(ServiceSpec("es", EventServiceOptions()), HERE).argv
    for line in (arguments, []):
        options = options_of(parser().parse_args(line))
        assert settings_of(options) == Settings() == EventService()._settings


def test_the_engine_of_a_large_message_has_large_queues() -> None:
    """Unless the queue size is set, queues hold the largest message."""
    assert EventService(max_message_size=1 << 30)._settings.queue_bytes == 1 << 30
    assert EventService(max_message_size=4096)._settings.queue_bytes == Settings().queue_bytes
    assert EventService(queue_bytes=4096)._settings.queue_bytes == 4096


def test_python_means_the_interpreter_of_the_manager() -> None:
    """A service finds what was installed beside pyroctl; any other program is left alone."""
    python = ServiceSpec("feed", CommandOptions(("python", "-m", "feed"), LogReady("up")))
    assert launch(python, HERE).argv == ("/venv/bin/python", "-m", "feed")
    other = ServiceSpec("x", CommandOptions(("/usr/bin/python3.12", "x.py")))
    assert launch(other, HERE).argv == ("/usr/bin/python3.12", "x.py")


def test_a_service_gets_its_own_environment_and_none_of_the_managers() -> None:
    """The manager's own variables (its root, its notify socket) must not reach its services."""
    spec = ServiceSpec("feed", CommandOptions(("feed",)), env={"RATE": "5", "PYRO_NS_PORT": "7"})
    env = launch(spec, HERE).env
    assert "PYROCTL_ROOT" not in env
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & env.keys()
    assert (env["PATH"], env["RATE"], env["PYROCTL_SERVICE"]) == ("/bin", "5", "feed")
    assert (env["PYRO_NS_HOST"], env["PYRO_NS_PORT"]) == ("localhost", "7")
    assert launch(spec, HERE).cwd == "/etc/lab"


def test_an_object_is_hosted_by_pyro_host() -> None:
    """Every key of the kind reaches the command line, and the host understands it."""
    from pyro_host.options import parse

    options = ObjectOptions(
        object="stocks:Market", args=("/dev/x", 1), kwargs={"speed": 9}, names=("other",),
        path=("/lab/code",), pyro_name="-market", metadata=("-a", "b"),
        host="::1", port=9000, nathost="lab.org", natport=9001, servertype="multiplex",
        threadpool=7, serializer="json", max_message_size=4096, commtimeout=1.5,
        ssl_servercert="/c", ssl_serverkey="/k", ssl_cacerts="/ca", ssl_requireclientcert=True,
        ssl_clientcert="/cc", ssl_clientkey="/ck",
    )  # fmt: skip
    found = launch(ServiceSpec("market", options), HERE)
    assert found.argv[:5] == ("/venv/bin/python", "-P", "-m", "pyro_host", "stocks:Market")
    understood = parse(found.argv[4:])
    assert (understood.path, understood.hosted[0].id) == (("/lab/code", "/etc/lab"), "-market")
    assert (understood.name, understood.ns) == ("-market", "localhost:9090")
    assert understood.metadata == {"-a", "b"}
    assert understood.wishes[:2] == (("/dev/x", 1), {"speed": 9})
    apart = {"path", "pyro_name", "metadata", "ns", "args", "kwargs", "objects"}
    others = {field.name for field in fields(options)} - apart
    assert {key: getattr(understood, key) for key in others} == {
        key: getattr(options, key) for key in others
    }
    assert (found.readiness, found.controlled) == (NotifyReady(), True)
    assert found.listens == TcpAddress("::1", 9000)


def test_an_object_without_a_name_has_the_services_as_its_id() -> None:
    """It isn't registered, and still its address is the same in every run."""
    from pyro_host.options import parse

    argv = launch(ServiceSpec("market@2", ObjectOptions("m:C", ns="hub:1")), HERE).argv
    understood = parse(argv[4:])
    assert (understood.name, understood.ns, understood.hosted[0].id) == (None, None, "market.2")
