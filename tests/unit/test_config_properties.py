"""Every file either loads as written or raises a ConfigError."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroctl.config.check.rules import check
from pyroctl.config.edit.show import format_value, show
from pyroctl.config.load import load
from pyroctl.config.memory.content import from_bytes, to_bytes
from pyroctl.core.instances import collapse
from pyroctl.errors import ConfigError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0$"), max_size=8)
FILLED = TEXT.filter(bool)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
SECONDS = st.one_of(st.integers(0, 10**9), st.floats(0, 1e9))
SPAN = st.one_of(st.integers(1, 10**9), st.floats(0.001, 1e9))
COUNT = st.integers(1, 2**63 - 1)
VARIABLES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
HOSTS = st.sampled_from(["localhost", "127.0.0.1", "::1", "lab-1.example.org"])
READY: st.SearchStrategy[Any] = st.one_of(
    st.just("notify"),
    st.builds(dict, delay=SECONDS),
    st.builds(dict, pyro_name=FILLED),
    st.builds(dict, log=st.sampled_from(["^ready$", "serving on .*", "(?i)UP"])),
    st.builds(dict, command=st.lists(FILLED, min_size=1, max_size=2), every=SPAN),
)
COMMON: dict[str, Any] = {
    "enabled": st.booleans(),
    "restart": st.sampled_from(["always", "on-failure", "never"]),
    "restart_delay": st.floats(0, 1),
    "restart_max_delay": st.floats(1, 1e9),
    "start_limit": COUNT,
    "start_window": SPAN,
    "start_timeout": SPAN,
    "stop_signal": st.sampled_from(["TERM", "INT", "SIGKILL", "usr1"]),
    "stop_timeout": SECONDS,
    "success_exit": st.lists(st.integers(0, 255), max_size=3),
    "env": st.dictionaries(VARIABLES, TEXT, max_size=3),
    "cwd": FILLED,
    "user": FILLED,
    "group": FILLED,
    "umask": st.from_regex(r"0?[0-7]{3}", fullmatch=True),
    "nice": st.integers(-20, 19),
    "limits": st.dictionaries(st.sampled_from(["nofile", "core", "as"]), st.integers(-1, 2**62)),
    "log": st.fixed_dictionaries({}, optional={"max_bytes": COUNT, "keep": st.integers(0, 99)}),
}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nameserver": (
        {},
        {
            "host": HOSTS,
            "storage": st.one_of(st.just("memory"), FILLED.map("sql:{}".format)),
            "broadcast": st.booleans(),
            "autoclean": st.one_of(st.just(0), st.floats(3, 1e6)),
        },
    ),
    "eventservice": (
        {},
        {
            "host": HOSTS,
            "queue_size": COUNT,
            "when_full": st.sampled_from(["drop-oldest", "drop-newest", "disconnect"]),
            "patience": SECONDS,
            "stuck_timeout": SECONDS,
            "queue_bytes": st.integers(1024, 2**63 - 1),
            "crash": st.sampled_from(["lose", "keep"]),
            "ring_bytes": st.integers(1024, 2**30),
            "max_message_size": st.integers(1024, 2**63 - 1),
            "max_connections": COUNT,
            "max_connections_per_peer": COUNT,
            "max_subscribers": COUNT,
            "max_subscriptions": COUNT,
            "callback_allow": st.lists(st.sampled_from(["10.0.0.0/24", "::1"]), max_size=2),
            "handshake_timeout": SECONDS.filter(bool),
            "trusted": st.booleans(),
            "socket_mode": st.from_regex(r"0?[0-7]{3}", fullmatch=True),
            "ident_file": FILLED,
            "ns": st.sampled_from(["localhost:9090", "[::1]:1"]),
        },
    ),
    "object": (
        {"object": st.sampled_from(["stocks:Market", "lab.robots:Arm.Left", "λ:make()"])},
        {
            "path": st.lists(FILLED, max_size=2),
            "pyro_name": FILLED,
            "host": HOSTS,
            "nathost": HOSTS,
            "servertype": st.sampled_from(["thread", "multiplex"]),
            "threadpool": COUNT,
            "serializer": st.sampled_from(["serpent", "json", "msgpack", "marshal"]),
            "max_message_size": st.integers(1024, 2**63 - 1),
            "commtimeout": SECONDS,
            "ssl_servercert": FILLED,
            "ns": st.sampled_from(["localhost:9090", "[::1]:1"]),
        },
    ),
    "command": (
        {"command": st.lists(FILLED, min_size=1, max_size=4)},
        {"ready": READY, "instances": st.integers(1, 12)},
    ),
}


@st.composite
def documents(draw):
    """Draw a valid document: distinct ports, needs that only look back."""
    document = {"manager": draw(st.fixed_dictionaries({}, optional={"name": NAMES}))}
    services = document["services"] = {}
    for index, name in enumerate(draw(st.lists(NAMES, unique=True, min_size=1, max_size=5))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        required, optional = KINDS[kind]
        service = draw(st.fixed_dictionaries(required, optional=optional | COMMON))
        if kind != "command":
            service["port"] = draw(st.sampled_from([0, 1000 + index]))
        if "pyro_name" in service:
            service["pyro_name"] += f" of {name}"
        if services:
            service["needs"] = draw(st.lists(st.sampled_from(sorted(services)), max_size=3))
        services[name] = {"kind": kind, **service}
    return document


def load_text(text, directory, environ=None):
    file = Path(directory) / "pyroctl.toml"
    file.write_text(text, encoding="utf-8")
    return load(str(file), environ or {}, "/")


@pytest.fixture(scope="module")
def directory():
    with tempfile.TemporaryDirectory() as name:
        yield name


@settings(max_examples=25, deadline=None)
@given(document=documents())
def test_a_valid_document_loads_and_shows_itself(directory, document):
    """A valid document loads, and the output of `show` loads as the same deployment."""
    result = load_text(tomli_w.dumps(document), directory)
    services = collapse(result.deployment.services)
    assert list(services) == list(document["services"])
    shown = show(result)
    for name, service in document["services"].items():
        spec, instances = services[name]
        assert instances == service.get("instances")
        assert spec.kind == service["kind"]
        assert spec.start_timeout == service.get("start_timeout", 30)
        assert spec.env == service.get("env", {})
    again = load_text("".join(f"{key} = {format_value(v)}\n" for key, v, _ in shown), directory)
    assert again.deployment == result.deployment
    assert [row[:2] for row in show(again)] == [row[:2] for row in shown]


@settings(max_examples=40, deadline=None)
@given(document=documents())
def test_every_value_survives_being_remembered(directory, document):
    """All keys of all kinds, with their types and in their order."""
    result = load_text(tomli_w.dumps(document), directory)
    if result.memory is not None:  # an `env` that contains a reference isn't
        file = str(Path(directory) / "pyroctl.toml")
        recalled = from_bytes(to_bytes(*result.memory), file, directory, {})
        assert repr(recalled) == repr(result.deployment)


@settings(max_examples=20, deadline=None)
@given(document=documents())
def test_origins_agree_with_the_file(directory, document):
    """A value has an origin in the file exactly when its key is written there."""
    text = tomli_w.dumps(document)
    result = load_text(text, directory)
    lines = text.split("\n")
    for key, _, origin in show(result):
        if origin.line is None or origin.column is None:
            assert origin.file is None
            continue
        last = key.rsplit(".", 1)[-1].strip('"')
        assert lines[origin.line - 1][origin.column - 1 :].startswith((last, f'"{last}'))


JUNK = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.dates(),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        st.sampled_from(["${A}", "${B:-1}", "${", "$$", "ns", "notify", "[", "(?x"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "port"]), inner)
    ),
    max_leaves=4,
)


def paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], (*path, key))


@st.composite
def mutations(draw):
    """Draw a valid document in which some keys were set to junk, renamed or removed."""
    document = draw(documents())
    for _ in range(draw(st.integers(1, 3))):
        keys = [path for path in paths(document) if path]
        if not keys:
            break
        path = draw(st.sampled_from(keys))
        table = document
        for key in path[:-1]:
            table = table[key]
        value = table.pop(path[-1])
        match draw(st.sampled_from(["set", "rename", "remove", "needs"])):
            case "set":
                table[path[-1]] = draw(JUNK)
            case "rename":
                table[draw(st.text("abport_-/. ", max_size=5))] = value
            case "needs" if len(path) == 2 and isinstance(value, dict):
                everybody = [*document.get("services", ()), path[-1], "nobody"]
                table[path[-1]] = {**value, "needs": draw(st.lists(st.sampled_from(everybody)))}
    return document


@settings(max_examples=80, deadline=None)
@given(document=mutations())
def test_a_mutation_is_a_config_error_or_a_deployment(directory, document):
    """Every change to a document leads to a deployment or to errors with a place."""
    text = tomli_w.dumps(document)
    try:
        load_text(text, directory, {"A": "1"})
    except ConfigError as error:
        found = error.diagnostics
    else:
        return
    assert found
    for each in found:
        assert each.file
        assert each.key
        assert each.message
        assert each.line in range(1, text.count("\n") + 2)
        assert each.column in range(1, len(text) + 2)


@settings(max_examples=100, deadline=None)
@given(
    text=st.one_of(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.text("[]{}=\"'.,# \nab1${}:-", max_size=60),
        st.tuples(documents().map(tomli_w.dumps), st.integers(0, 400), st.text(max_size=2)).map(
            lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
        ),
    ).filter(lambda text: text.isascii() or "\ud800" not in text)
)
def test_arbitrary_text_is_a_config_error_or_a_deployment(directory, text):
    """No text leads to a traceback."""
    try:
        load_text(text.encode("utf-8", "replace").decode(), directory)
    except ConfigError as error:
        found = error.diagnostics
    else:
        return
    assert found


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=60))
def test_arbitrary_bytes_are_a_config_error(directory, content):
    """No bytes lead to a traceback either."""
    file = Path(directory) / "pyroctl.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError):
        load(str(file), {}, "/")


@settings(max_examples=100, deadline=None)
@given(
    needs=st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=4)
    )
)
def test_needs_without_mistakes_can_be_ordered(needs):
    """Needs that pass the check have a start order; a cycle is named."""
    tables = {name: {"needs": needed} for name, needed in needs.items()}
    ordered: set[str] = set()
    while ready := [n for n in needs if n not in ordered and ordered.issuperset(needs[n])]:
        ordered.update(ready)
    assert (ordered == set(needs)) == (not check(tables, {}, {}))
