"""Several files make one configuration: includes, drop-ins, and which value takes precedence."""

from __future__ import annotations

import pytest

from pyroctl.config.edit.show import show
from pyroctl.config.load import load
from pyroctl.config.source.sources import read_sources
from pyroctl.core.spec import CommandOptions, LogReady, NameServerOptions
from pyroctl.errors import ConfigError

MAIN = """\
[services.ns]
kind = "nameserver"
port = 9090
log = { keep = 1 }

[services.run]
kind = "command"
command = "run"
env = { A = "1", B = "1" }
ready = { port = 80, host = "here" }
"""


CIRCLE = "files include each other in a cycle: DIR/lab.toml → DIR/lab.toml"


@pytest.fixture
def write(tmp_path):
    """Write files below a directory, and return the path of the main one."""

    def write_files(files: dict[str, str]) -> str:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return str(tmp_path / "lab.toml")

    return write_files


def errors_of(file: str, directory, environ=None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, environ or {}, "/")
    return [str(error).replace(f"{directory}/", "") for error in caught.value.diagnostics]


def test_dropins_are_merged_in_the_order_of_their_names(write, tmp_path):
    """Tables are merged key by key; lists and other values are replaced by the last file's."""
    file = write(
        {
            "lab.toml": MAIN,
            "lab.d/20.toml": '[services.ns]\nport = 2\nlog.max_bytes = 7\n[manager]\nname = "b"\n',
            "lab.d/10.toml": '[services.ns]\nport = 1\nsuccess_exit = [3]\n[manager]\nname = "a"\n',
            "lab.d/30.toml": '[services.run]\nenv.B = "2"\n[services.x]\nkind = "eventservice"\n',
            "lab.d/notes": "not TOML",
            "lab.d/20.bak": "port = [",
            "lab.d/.hidden.toml": "= 1",
        }
    )
    deployment = load(file, {}, "/").deployment
    ns, run = deployment.services["ns"], deployment.services["run"]
    assert isinstance(ns.options, NameServerOptions)
    assert (deployment.name, ns.options.port, ns.success_exit) == ("b", 2, (3,))
    assert (ns.log.keep, ns.log.max_bytes) == (1, 7)
    assert run.env == {"A": "1", "B": "2"}
    assert list(deployment.services) == ["ns", "run", "x"]


def test_forms_of_readiness_exclude_each_other_in_drop_ins_too(write, tmp_path):
    """A later `ready` replaces an earlier one completely, its origins included."""
    file = write({"lab.toml": MAIN, "lab.d/a.toml": '[services.run]\nready = { log = "up" }\n'})
    loaded = load(file, {}, "/")
    options = loaded.deployment.services["run"].options
    assert isinstance(options, CommandOptions)
    assert options.ready == LogReady("up")
    assert str(loaded.origins["services.run.ready.log"]) == f"{tmp_path}/lab.d/a.toml:2"


def test_every_value_knows_its_file_and_line(write, tmp_path):
    """Origins name the file whose value is in effect; tables and defaults are distinguished."""
    file = write(
        {
            "lab.toml": 'include = "base.toml"\n' + MAIN,
            "base.toml": '[services.ns]\nkind = "nameserver"\nport = 1\nhost = "127.0.0.1"\n',
            "lab.d/a.toml": "\n[services.ns]\nlog.keep = 2\n",
        }
    )
    origins = load(file, {}, "/").origins
    assert str(origins["services.ns.host"]) == f"{tmp_path}/base.toml:4"
    assert str(origins["services.ns.port"]) == f"{file}:4"
    assert str(origins["services.ns.log.keep"]) == f"{tmp_path}/lab.d/a.toml:3"
    assert str(origins["services.ns.autoclean"]) == "default"


def test_includes(write, tmp_path):
    """Relative to the including file, with globs and variables; each file counts once."""
    file = write(
        {
            "lab.toml": 'include = ["sub/*.toml", "${EXTRA}"]\nservices.ns.kind = "nameserver"\n',
            "sub/b.toml": '[manager]\nname = "b"\n',
            "sub/a.toml": 'include = "../deep.toml"\nmanager.name = "a"\nservices.ns.port = 1\n',
            "deep.toml": '[services.ns]\nport = 5\nhost = "deep"\n',
            "extra.toml": 'include = ["none/*.toml", "deep.toml"]\n',
        }
    )
    sources = read_sources(file, {"EXTRA": "extra.toml"})
    names = [name.removeprefix(f"{tmp_path}/") for name in sources.files]
    assert names == ["lab.toml", "sub/a.toml", "deep.toml", "sub/b.toml", "extra.toml"]
    deployment = load(file, {"EXTRA": "extra.toml"}, "/").deployment
    options = deployment.services["ns"].options
    assert isinstance(options, NameServerOptions)
    assert (deployment.name, options.port, options.host) == ("b", 1, "deep")


def test_relative_paths_start_at_the_main_file(write, tmp_path):
    """This holds for every file that contains one."""
    dropin = '[services.run]\ncwd = "work"\nenv_file = "v.env"\n'
    file = write({"lab.toml": MAIN, "lab.d/a.toml": dropin, "v.env": "C=3\n"})
    run = load(file, {}, "/").deployment.services["run"]
    assert (run.cwd, run.env) == (f"{tmp_path}/work", {"A": "1", "B": "1", "C": "3"})


@pytest.mark.parametrize(
    ("include", "error"),
    [
        ('"nix.toml"', "lab.toml:1:1: include[0]: DIR/nix.toml: no such file"),
        ("5", "lab.toml:1:1: include: expected a list of strings, got 5"),
        ('["*.x", 5]', "lab.toml:1:1: include[1]: expected a string, got 5"),
        ('[""]', "lab.toml:1:1: include[0]: must not be empty"),
        ('"${NIX}"', "lab.toml:1:1: include: the environment variable NIX is not set"),
        ('"."', "DIR: can't be read: Is a directory"),
        ('"lab.toml"', "lab.toml:1:1: include[0]: " + CIRCLE),
    ],
)
def test_an_include_that_leads_nowhere_is_an_error(write, tmp_path, include, error):
    """It is located at its key, and reported beside other errors."""
    file = write({"lab.toml": f"include = {include}\n{MAIN}colour = 1\n"})
    found = errors_of(file, tmp_path)
    expected = error.replace("DIR", str(tmp_path)).replace(f"{tmp_path}/", "")
    assert expected in found
    assert "lab.toml:12:1: services.run.colour: unknown key" in found


def test_a_circle_of_includes_names_all_its_files(write, tmp_path):
    """It is an error in the file that closes it."""
    file = write(
        {
            "lab.toml": 'include = "a.toml"\n' + MAIN,
            "a.toml": 'include = "b.toml"\n',
            "b.toml": '\ninclude = ["a.toml"]\n',
        }
    )
    assert errors_of(file, tmp_path) == [
        "b.toml:2:1: include[0]: files include each other in a cycle: a.toml → b.toml → a.toml"
    ]


def test_errors_of_all_files_are_reported_at_once(write, tmp_path):
    """They come in the order of reading, each with its file, conflicts between files included."""
    file = write(
        {
            "lab.toml": 'include = "base.toml"\n' + MAIN + 'needs = ["gone"]\n',
            "base.toml": "typo = 1\n",
            "lab.d/a.toml": "[services.ns]\nprot = 1\n",
            "lab.d/b.toml": '[services.run]\nstop_timeout = -1\n[services.new]\nneeds = ["ns"]\n',
        }
    )
    assert errors_of(file, tmp_path) == [
        'lab.toml:12:1: services.run.needs[0]: there is no service "gone"',
        "base.toml:1:1: typo: unknown key",
        "lab.d/a.toml:2:1: services.ns.prot: unknown key",
        "lab.d/b.toml:2:1: services.run.stop_timeout: must be at least 0, got -1",
        "lab.d/b.toml:3:11: services.new.kind: is missing",
    ]


def test_a_port_that_is_taken_in_another_file(write, tmp_path):
    """The error is at the later claim."""
    text = '[services.es]\nkind = "eventservice"\nport = 9090\n'
    file = write({"lab.toml": MAIN, "lab.d/a.toml": text})
    found = errors_of(file, tmp_path)
    assert found == ["lab.d/a.toml:3:1: services.es.port: port 9090 is taken by service ns"]


def test_a_drop_in_with_a_syntax_error(write, tmp_path):
    """The error has its place, and is reported with what is certainly wrong in the other files."""
    file = write(
        {
            "lab.toml": MAIN + 'colour = 1\nneeds = ["es"]\n[services.later]\nstop_timeout = "5"\n',
            "lab.d/a.toml": '[services.es]\nkind = "eventservice\n',
        }
    )
    found = errors_of(file, tmp_path)
    assert "lab.toml:11:1: services.run.colour: unknown key" in found
    assert any(error.startswith("lab.d/a.toml:2:") for error in found)
    assert not any("es" in error and "no service" in error for error in found)
    assert not any("later.kind" in error for error in found)


def test_a_file_in_place_of_the_drop_in_directory_is_an_error(write, tmp_path):
    """A setting that the user intended is never ignored silently."""
    file = write({"lab.toml": MAIN})
    (tmp_path / "lab.d").write_text("", encoding="utf-8")
    assert errors_of(file, tmp_path) == ["lab.d: can't be read: Not a directory"]


def test_show_of_several_files_is_toml_of_the_whole(write, tmp_path):
    """It has the values in effect, from all files."""
    file = write({"lab.toml": MAIN, "lab.d/a.toml": "[services.ns]\nport = 0\n"})
    values = {key: value for key, value, _ in show(load(file, {}, "/"))}
    assert values["services.ns.port"] == 0
