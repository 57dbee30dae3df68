"""`[defaults]`: keys of services that don't set them."""

from __future__ import annotations

import pytest

from pyroctl.config.edit.keys import value_of
from pyroctl.config.load import load
from pyroctl.core.spec import ObjectOptions
from pyroctl.errors import ConfigError

TEXT = """\
[defaults]
restart = "on-failure"
env = { A = "all", B = "all" }
log.keep = 1
[defaults.object]
threadpool = 7
stop_timeout = 3
env = { B = "object" }

[services.o]
kind = "object"
object = "m:C"
stop_timeout = 4
env = { C = "own" }
[services.c]
kind = "command"
command = "feed"
restart = "never"
log.max_bytes = 5
"""


def loaded(tmp_path, text=TEXT):
    file = tmp_path / "pyroctl.toml"
    file.write_text(text)
    return load(str(file), {}, "/")


def faults(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return [str(d).replace(f"{tmp_path}/", "") for d in caught.value.diagnostics]


def test_a_service_comes_before_its_kind_and_its_kind_before_all(tmp_path):
    """Each key is taken from the nearest table that has it; tables are merged."""
    services = loaded(tmp_path).deployment.services
    hosted, feed = services["o"], services["c"]
    assert isinstance(hosted.options, ObjectOptions)
    assert (hosted.options.threadpool, hosted.stop_timeout, hosted.restart) == (7, 4, "on-failure")
    assert hosted.env == {"A": "all", "B": "object", "C": "own"}
    assert (feed.restart, feed.stop_timeout, feed.env) == ("never", 10, {"A": "all", "B": "all"})
    assert (feed.log.keep, feed.log.max_bytes) == (1, 5)


def test_origins_point_at_the_default(tmp_path):
    """An inherited value has the line of the default, also below a table that is merged."""
    origins = loaded(tmp_path).origins
    lines = {
        key: origins[f"services.{key}"].line for key in ("o.restart", "o.threadpool", "o.port")
    }
    assert lines == {"o.restart": 2, "o.threadpool": 6, "o.port": None}
    assert [origins[f"services.o.env.{name}"].line for name in "ABC"] == [3, 8, 14]
    assert (origins["services.c.log.keep"].line, origins["services.c.log.max_bytes"].line) == (
        4,
        19,
    )


def test_defaults_can_be_asked_for(tmp_path):
    """`config get` knows them, and which keys they could have."""
    found = loaded(tmp_path)
    assert value_of(found, ("defaults", "object", "threadpool")) == 7
    assert value_of(found, ("defaults", "env")) == {"A": "all", "B": "all"}
    assert value_of(found, ("defaults", "umask")) is None
    assert found.origin(("defaults", "restart")).line == 2


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("restrat = 'never'", "2:1: defaults.restrat: unknown key"),
        ("port = 5", "2:1: defaults.port: unknown key"),
        ("kind = 'object'", "2:1: defaults.kind: unknown key"),
        ("needs = ['ns']", "2:1: defaults.needs: unknown key"),
        ("nice = 'x'", '2:1: defaults.nice: expected an integer, got the string "x"'),
        ("object = 'm:C'", '2:1: defaults.object: expected a table, got the string "m:C"'),
        ("obbject.port = 1", "2:1: defaults.obbject: unknown key"),
        ("object.prot = 1", "2:8: defaults.object.prot: unknown key"),
        ("env.A = '${NO}'", "2:5: defaults.env.A: the environment variable NO is not set"),
        ("restart_delay = 9\nrestart_max_delay = 2", "3:1: defaults.restart_max_delay: must be"),
    ],
)
def test_a_wrong_default_is_one_fault_at_its_place(tmp_path, line, fault):
    """However many services would have it, and even if the fault shows only at a service."""
    services = "".join(f"[services.{n}]\nkind = 'command'\ncommand = 'x'\n" for n in "ab")
    found = faults(tmp_path, f"[defaults]\n{line}\n{services}")
    assert len(found) == 1
    assert found[0].startswith(f"pyroctl.toml:{fault}")


def test_a_default_that_fits_no_service_says_where_it_belongs(tmp_path):
    """A key of some kinds is not one of all services."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "[defaults]\nport = 5\n[services.ns]\nkind = 'nameserver'\n")
    assert "[defaults.nameserver]" in (caught.value.diagnostics[0].hint or "")
