"""From a specification to a command line and an environment."""

from __future__ import annotations

from dataclasses import fields

from pyroctl.core.spec import (
    CommandOptions,
    EventServiceOptions,
    LogReady,
    NameServerOptions,
    NotifyReady,
    ObjectOptions,
    ServiceSpec,
)
from pyroctl.kinds.address import TcpAddress, UnixAddress
from pyroctl.kinds.launch import LaunchContext, launch

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
        *("/venv/bin/python", "-m", "pyro_names", "--host", "::1", "--port", "0"),
        *("--storage", "sql:/var/names.db", "--autoclean", "30", "--broadcast"),
    )
    assert (found.readiness, found.controlled) == (NotifyReady(), True)
    assert found.listens == TcpAddress("::1", 0)


def test_an_event_service_registers_in_the_deployments_name_server() -> None:
    """Unless the configuration names another one."""
    spec = ServiceSpec("es", EventServiceOptions(port=9091, ident_file="/etc/ident"))
    argv = launch(spec, HERE).argv
    assert argv[argv.index("--ns") + 1] == "localhost:9090"
    assert argv[argv.index("--ident-file") + 1] == "/etc/ident"
    elsewhere = ServiceSpec("es", EventServiceOptions(ns="hub:9090"))
    argv = launch(elsewhere, HERE).argv
    assert argv[argv.index("--ns") + 1] == "hub:9090"


def test_the_limits_of_an_event_service_reach_its_command_line() -> None:
    """Each under the name that it has in the configuration, and `es` takes them all."""
    from pyro_events._app.options import parser

    options = EventServiceOptions(
        queue_size=7, queue_bytes=2048, when_full="disconnect", block_timeout=1.5,
        max_message_size=4096, max_connections=11, max_connections_per_peer=12, max_subscribers=13,
        max_subscriptions=14, handshake_timeout=2.5, trusted=True,
    )  # fmt: skip
    for each in (options, EventServiceOptions()):
        _, _, _, *arguments = launch(ServiceSpec("es", each), HERE).argv
        parsed = vars(parser().parse_args(arguments))
        assert {name: parsed[name] for name in LIMITS} == {
            name: getattr(each, name) for name in LIMITS
        }


def test_a_unix_socket_has_no_port() -> None:
    """The manager listens on its path for it, with the permissions that were asked for."""
    options = EventServiceOptions(host="./u:/run/es", socket_mode="0660")
    found = launch(ServiceSpec("es", options), HERE)
    assert found.listens == UnixAddress("/run/es", 0o660)
    argv = found.argv
    assert argv[argv.index("--host") + 1] == "./u:/run/es"
    assert argv[argv.index("--port") + 1] == "0"
    assert argv[argv.index("--socket-mode") + 1] == "0660"


LIMITS = (
    "queue_size", "queue_bytes", "when_full", "block_timeout", "max_message_size",
    "max_connections", "max_connections_per_peer", "max_subscribers", "max_subscriptions",
    "handshake_timeout", "trusted",
)  # fmt: skip


def test_the_limits_of_the_configuration_have_the_event_services_own_defaults() -> None:
    """What nobody writes down is the same with pyroctl, with `es`, and inside a program."""
    from pyro_events import EventService
    from pyro_events._app.options import parser, settings_of
    from pyro_events._broker.settings import Settings

    spec, own = EventServiceOptions(), settings_of(parser().parse_args([]))
    assert own == Settings() == EventService()._settings
    for name in LIMITS:
        if name != "queue_bytes":
            assert getattr(spec, name) == getattr(own, name)


def test_python_means_the_interpreter_of_the_manager() -> None:
    """A service finds what was installed beside pyroctl; any other program is left alone."""
    python = ServiceSpec("feed", CommandOptions(("python", "-m", "feed"), LogReady("up")))
    assert launch(python, HERE).argv == ("/venv/bin/python", "-m", "feed")
    other = ServiceSpec("x", CommandOptions(("/usr/bin/python3.12", "x.py")))
    assert launch(other, HERE).argv == ("/usr/bin/python3.12", "x.py")


def test_a_service_gets_its_own_environment_and_none_of_the_managers() -> None:
    """What the manager was told (its root, its own notify socket) must not reach its services."""
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
        object="stocks:Market", path=("/lab/code",), pyro_name="-market", metadata=("-a", "b"),
        host="::1", port=9000, nathost="lab.org", natport=9001, servertype="multiplex",
        threadpool=7, serializer="json", max_message_size=4096, commtimeout=1.5,
        ssl_servercert="/c", ssl_serverkey="/k", ssl_cacerts="/ca", ssl_requireclientcert=True,
        ssl_clientcert="/cc", ssl_clientkey="/ck",
    )  # fmt: skip
    found = launch(ServiceSpec("market", options), HERE)
    assert found.argv[:5] == ("/venv/bin/python", "-P", "-m", "pyro_host", "stocks:Market")
    understood = parse(found.argv[4:])
    assert (understood.path, understood.object_id) == (("/lab/code", "/etc/lab"), "-market")
    assert (understood.name, understood.ns) == ("-market", "localhost:9090")
    assert understood.metadata == {"-a", "b"}
    others = {field.name for field in fields(options)} - {"path", "pyro_name", "metadata", "ns"}
    assert {key: getattr(understood, key) for key in others} == {
        key: getattr(options, key) for key in others
    }
    assert (found.readiness, found.controlled) == (NotifyReady(), True)
    assert found.listens == TcpAddress("::1", 9000)


def test_an_object_without_a_name_has_the_services_as_its_id() -> None:
    """It isn't registered, and its address is the same in every run all the same."""
    from pyro_host.options import parse

    argv = launch(ServiceSpec("market@2", ObjectOptions("m:C", ns="hub:1")), HERE).argv
    understood = parse(argv[4:])
    assert (understood.name, understood.ns, understood.object_id) == (None, None, "market.2")
