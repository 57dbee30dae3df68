"""What a configuration means: values, expansion, paths, env files, origins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyroctl.config.edit.show import show
from pyroctl.config.load import load
from pyroctl.core.spec import (
    CommandOptions,
    DelayReady,
    EventServiceOptions,
    LogReady,
    LogSpec,
    NameReady,
    NameServerOptions,
    NotifyReady,
    PortReady,
    ServiceSpec,
    WatchdogSpec,
    builtin_deployment,
)


@pytest.fixture
def loaded(tmp_path):
    def write_and_load(text, environ=None):
        file = tmp_path / "pyroctl.toml"
        file.write_text(text, encoding="utf-8")
        return load(str(file), environ or {}, "/")

    return write_and_load


@pytest.fixture
def run(loaded):
    """Load one command service with the given further lines."""

    def load_command(lines, environ=None):
        text = f'[services.run]\nkind = "command"\ncommand = "run"\n{lines}\n'
        return loaded(text, environ).deployment.services["run"]

    return load_command


def test_without_a_file_the_builtin_deployment_is_loaded():
    """None means the built-in deployment, and every value of it is a default."""
    result = load(None, {}, "/lab")
    assert result.deployment == builtin_deployment("/lab", page=True)  # the suite has the extra
    assert {str(setting.origin) for setting in show(result)} == {"default"}


EVERY_KEY = """\
[manager]
name = "lab"
orphans = "stop"
[services.ns]
kind = "nameserver"
host = "127.0.0.1"
port = 0
storage = "sql:db/names.sqlite"
broadcast = true
autoclean = 3.5
[services."es.1"]
kind = "eventservice"
host = "::1"
port = 9100
queue_size = 7
queue_bytes = 1024
when_full = "disconnect"
patience = 2
max_message_size = 2048
max_connections = 11
max_connections_per_peer = 12
max_subscribers = 13
max_subscriptions = 14
handshake_timeout = 1.5
socket_mode = "640"
trusted = true
ident_file = "ident"
ns = "[::1]:9090"
enabled = false
needs = ["ns", "ns"]
restart = "on-failure"
restart_delay = 1
restart_max_delay = 1
start_limit = 2
start_window = 3
start_timeout = 4
stop_signal = "sigint"
stop_timeout = 0
success_exit = [0, 3]
env = { A = "1" }
cwd = "work"
user = "pyro"
group = "1000"
umask = "027"
nice = -5
limits = { nofile = 4096, core = 0, as = -1 }
log = { max_bytes = 100, keep = 0 }
watchdog = { every = 5, timeout = 1.5, failures = 2 }
on_restart = "handover"
"""


def test_every_key(loaded, tmp_path):
    """Each key of the configuration arrives in the core value that it is for."""
    deployment = loaded(EVERY_KEY).deployment
    assert (deployment.name, deployment.directory) == ("lab", str(tmp_path))
    assert deployment.file == f"{tmp_path}/pyroctl.toml"
    assert deployment.services == {
        "ns": ServiceSpec(
            "ns",
            NameServerOptions("127.0.0.1", 0, f"sql:{tmp_path}/db/names.sqlite", True, 3.5),
        ),
        "es.1": ServiceSpec(
            "es.1",
            EventServiceOptions(
                host="::1",
                port=9100,
                queue_size=7,
                queue_bytes=1024,
                when_full="disconnect",
                patience=2.0,
                max_message_size=2048,
                max_connections=11,
                max_connections_per_peer=12,
                max_subscribers=13,
                max_subscriptions=14,
                handshake_timeout=1.5,
                socket_mode="640",
                trusted=True,
                ident_file=f"{tmp_path}/ident",
                ns="[::1]:9090",
                on_restart="handover",
            ),
            enabled=False,
            needs=("ns",),
            restart="on-failure",
            restart_delay=1.0,
            restart_max_delay=1.0,
            start_limit=2,
            start_window=3.0,
            start_timeout=4.0,
            stop_signal="INT",
            stop_timeout=0.0,
            success_exit=(0, 3),
            env={"A": "1"},
            cwd=f"{tmp_path}/work",
            user="pyro",
            group="1000",
            umask=0o027,
            nice=-5,
            limits={"nofile": 4096, "core": 0, "as": -1},
            log=LogSpec(100, 0),
            watchdog=WatchdogSpec(5.0, 1.5, 2),
        ),
    }


def test_an_event_service_is_watched_by_default(loaded):
    """The watchdog's default depends on the kind; false turns it off, a table on."""
    services = loaded(
        """\
services.ns = { kind = "nameserver" }
services.es = { kind = "eventservice" }
services.ns2 = { kind = "nameserver", port = 0, watchdog = {} }
services.es2 = { kind = "eventservice", watchdog = false }
services.es3 = { kind = "eventservice", watchdog = { failures = 5 } }
"""
    ).deployment.services
    assert {name: spec.watchdog for name, spec in services.items()} == {
        "ns": None,
        "es": WatchdogSpec(),
        "ns2": WatchdogSpec(),
        "es2": None,
        "es3": WatchdogSpec(failures=5),
    }


@pytest.mark.parametrize(
    ("ready", "meaning"),
    [
        ('"notify"', NotifyReady()),
        ("{ delay = 0 }", DelayReady(0.0)),
        ("{ port = 80 }", PortReady(80)),
        ('{ port = 80, host = "::1" }', PortReady(80, "::1")),
        ('{ log = "^up$" }', LogReady("^up$")),
        ('{ pyro_name = "a.b" }', NameReady("a.b")),
    ],
)
def test_forms_of_readiness(run, ready, meaning):
    """Every form of `ready` is understood."""
    assert run(f"ready = {ready}").options == CommandOptions(("run",), meaning)


def test_a_command_without_readiness_is_given_a_moment(run):
    """The default of `ready` is a short delay."""
    assert run("").options.ready == DelayReady()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ('["a b", "", "$c"]', ("a b", "", "$c")),
        ("'a \"b c\" d\\ e'", ("a", "b c", "d e")),
        ('"a ${X} # b"', ("a", "1", "2", "#", "b")),
        ('["a", "${X}"]', ("a", "1 2")),
    ],
)
def test_a_command_is_words_or_one_string(loaded, command, words):
    """A list is taken as it is; a string is split as a shell does, after expansion."""
    text = f'[services.run]\nkind = "command"\ncommand = {command}\n'
    deployment = loaded(text, {"X": "1 2"}).deployment
    assert deployment.services["run"].options.command == words


def test_dollars(run):
    """References expand in every string; other dollar signs are literal."""
    env = """\
env = { A = "${X}", B = "a${X}b${X:-d}", C = "${NO:-d}", D = "${EMPTY:-d}", E = "${EMPTY}", \
F = "$$", G = "$$X ${X}", H = "$${X}", I = "x$", J = "$X", K = "${NO:-}", L = "${NO:-a b$}" }
"""
    assert run(env, {"X": "1", "EMPTY": ""}).env == {
        "A": "1",
        "B": "a1b1",
        "C": "d",
        "D": "d",
        "E": "",
        "F": "$",
        "G": "$X 1",
        "H": "${X}",
        "I": "x$",
        "J": "$X",
        "K": "",
        "L": "a b$",
    }


def test_what_a_variable_contains_is_not_expanded_again(run):
    """The value of a variable is data, not a template."""
    assert run('env = { A = "${X}" }', {"X": "${Y} $$"}).env == {"A": "${Y} $$"}


def test_a_reference_may_stand_for_a_number(run):
    """A string that is a single reference is converted to the type of its key."""
    spec = run(
        """\
enabled = "${OFF:-false}"
start_limit = "${N:-7}"
stop_timeout = "${T:-2.5}"
success_exit = ["${E:-4}"]
restart = "${RESTART}"
limits = { core = "${C:-0}" }
ready = { port = "${PORT}" }
log = { keep = "${K:-1}" }
""",
        {"PORT": "8080", "RESTART": "never"},
    )
    assert (spec.enabled, spec.start_limit, spec.stop_timeout) == (False, 7, 2.5)
    assert (spec.success_exit, spec.restart, spec.limits) == ((4,), "never", {"core": 0})
    assert (spec.options.ready, spec.log.keep) == (PortReady(8080), 1)


def test_env_files(run, tmp_path):
    """Later files win over earlier ones and `env` over all; quotes, comments and exports work."""
    (tmp_path / "a.env").write_text(
        """\
# comment
A=1
B = two words # and a comment
C='single # "quotes" \\n'   # comment
D="double \\"quotes\\" \\t # \\$"
  export E=${A}#x
F=
G=#x
""",
        encoding="utf-8",
    )
    (tmp_path / "b.env").write_text("A=2\r\nH=h\r\n", encoding="utf-8")
    spec = run('env_file = ["a.env", "./b.env"]\nenv = { H = "over" }')
    assert spec.env == {
        "A": "2",
        "B": "two words",
        "C": 'single # "quotes" \\n',
        "D": 'double "quotes" \t # $',
        "E": "${A}#x",
        "F": "",
        "G": "#x",
        "H": "over",
    }
    assert run('env_file = "b.env"').env == {"A": "2", "H": "h"}


def test_absolute_paths_stay_as_they_are(run):
    """Only relative paths start at the configuration file."""
    assert run('cwd = "/srv/x"').cwd == "/srv/x"


def test_a_relative_file_starts_at_cwd(tmp_path):
    """The path of the configuration may be relative; the deployment's is absolute."""
    (tmp_path / "lab.toml").write_text('[services.ns]\nkind = "nameserver"\n', encoding="utf-8")
    assert load("lab.toml", {}, str(tmp_path)).deployment.directory == str(tmp_path)


def test_a_byte_order_mark_is_not_an_error(tmp_path):
    """Editors on Windows write one."""
    file = tmp_path / "pyroctl.toml"
    file.write_text('\ufeff[services.ns]\nkind = "nameserver"\n', encoding="utf-8")
    assert list(load(str(file), {}, "/").deployment.services) == ["ns"]


def test_loading_a_good_file_does_not_import_tomlkit(tmp_path):
    """Positions are costly, so they are looked up only for errors."""
    file = tmp_path / "pyroctl.toml"
    file.write_text('[services.ns]\nkind = "nameserver"\n', encoding="utf-8")
    program = (
        f"import sys; sys.path.insert(0, {str(Path.cwd())!r})\n"
        "from pyroctl.config.load import load\n"
        "load(None, {}, '/')\n"
        "assert not {'pydantic', 'tomllib', 'tomlkit'} & sys.modules.keys()\n"
        f"load({str(file)!r}, {{}}, '/')\n"
        "assert 'pydantic' in sys.modules and 'tomlkit' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-I", "-c", program], check=True)


def test_a_unix_socket_is_below_the_configurations_directory(loaded, tmp_path):
    """The path is relative to it, like every other."""
    text = '[services.es]\nkind = "eventservice"\nhost = "./u:{}"\n'
    for path, expected in (("run/es", f"{tmp_path}/run/es"), ("/run/es", "/run/es")):
        (es,) = loaded(text.format(path)).deployment.services.values()
        assert es.options.host == f"./u:{expected}"
