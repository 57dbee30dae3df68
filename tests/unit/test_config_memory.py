"""A configuration that was checked is remembered exactly as long as nothing has changed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroctl.config.load import load
from pyroctl.config.memory import content
from pyroctl.config.memory.content import OutdatedError, from_bytes, to_bytes
from pyroctl.config.memory.memory import NAME, Memory
from pyroctl.config.subprocess_loader import Loading, load_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyroctl.core.spec import Deployment

MAIN = """
include = ["more.toml", "alias.toml", "lab-*.toml", "${EXTRA:-}more.toml"]
[manager]
name = "lab"
[services.es]
kind = "eventservice"
port = "${PORT}"
[services.market]
kind = "object"
object = "stocks:Market"
path = "modules"
pyro_name = "market"
instances = 3
env = { LEVEL = "1" }
env_file = ["market.env"]
args = [1, 1.5, true, ["a", ["b"]], { c = [] }]
watchdog = { call = "state", expect = { numbers = [1, 2], well = true } }
[services.nightly]
kind = "task"
command = "true"
at = "mon-fri 03:00"
[services.page]
kind = "web"
socket = "page.sock"
proxy = { user_header = "Remote-User", roles = { alice = "view" } }
metrics_labels = { subjects = ["lab"] }
[alerts]
publish = "lab.alerts"
"""
ENVIRON = {"PORT": "4000", "PYROCTL_SERVICES_ES_QUEUE_SIZE": "77", "UNUSED": "1"}
CHANGES: dict[str, Callable[[Path], object]] = {
    "main": lambda d: (d / "lab.toml").write_text(MAIN + "# once more\n"),
    "included": lambda d: (d / "more.toml").write_text('[services.ns]\nkind="nameserver"\nport=1'),
    "a link's target": lambda d: relink(d / "alias.toml", d / "copy.toml"),
    "a file that the pattern matches": lambda d: (d / "lab-2.toml").write_text("[manager]\n"),
    "one less": lambda d: (d / "lab-1.toml").unlink(),
    "a drop-in": lambda d: (d / "lab.d" / "9.toml").write_text(""),
    "a drop-in's text": lambda d: (d / "lab.d" / "1.toml").write_text("[manager]\nstrict=false\n"),
    "env file": lambda d: (d / "market.env").write_text("PASSWORD=other\n"),
    "env file unreadable": lambda d: (d / "market.env").write_bytes(b"\xff"),
    "env file gone": lambda d: (d / "market.env").unlink(),
    "a byte-order mark": lambda d: (d / "market.env").write_bytes(b"\xef\xbb\xbfA=1"),
    "a FIFO": lambda d: replace_by_fifo(d / "more.toml"),
}


def relink(link: Path, target: Path) -> None:
    link.unlink()
    link.symlink_to(target)


def replace_by_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


class Lab:
    """A configuration with everything that can be an input, and its memory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "lab"
        self.file = str(self.directory / "lab.toml")
        self.state = directory / "state"
        self.memory = Memory(str(self.state))
        self.environ = dict(ENVIRON)
        self.state.mkdir(mode=0o700)
        self.write()

    def write(self) -> None:
        """Write all files as they were first."""
        shutil.rmtree(self.directory, ignore_errors=True)
        (self.directory / "lab.d").mkdir(parents=True)
        (self.directory / "modules").mkdir()
        (self.directory / "lab.toml").write_text(MAIN)
        for name in ("more.toml", "copy.toml"):
            (self.directory / name).write_text('[services.ns]\nkind = "nameserver"\n')
        (self.directory / "alias.toml").symlink_to("more.toml")
        (self.directory / "lab-1.toml").write_text("[services.es]\nqueue_size = 5\n")
        (self.directory / "lab.d" / "1.toml").write_text("[services.es]\nmax_message_size = 9999\n")
        (self.directory / "market.env").write_text("PASSWORD=hunter2\nLEVEL=2\n")
        self.environ = dict(ENVIRON)

    def check(self) -> Deployment:
        """Check, and remember the result."""
        found = load(self.file, self.environ, "/")
        assert found.memory is not None
        self.memory.remember(to_bytes(*found.memory))
        return found.deployment

    def recall(self) -> Deployment | None:
        return self.memory.recall(self.file, self.environ, "/")

    @property
    def remembered(self) -> Path:
        return self.state / NAME


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(scope="module")
def labs() -> Iterator[Lab]:
    """One for a whole property; each example writes its files again."""
    with tempfile.TemporaryDirectory() as directory:
        yield Lab(Path(directory))


def test_what_is_recalled_is_what_the_check_has_found(lab: Lab) -> None:
    """Instances, variables of env files, settings from the environment, order and types.

    Lists stay lists, which the answer to a watchdog's call is compared with.
    """
    checked = lab.check()
    assert repr(lab.recall()) == repr(checked)
    assert dict(checked.services["market@2"].env) == {"PASSWORD": "hunter2", "LEVEL": "1"}
    lab.environ["UNUSED"] = "2"
    assert lab.recall() == checked


@given(st.sampled_from(sorted(CHANGES)), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_change_of_any_file_is_noticed(labs: Lab, what: str, undone: bool) -> None:
    """A changed, new, missing, relinked or unreadable file; what was there before counts again."""
    labs.write()
    checked = labs.check()
    CHANGES[what](labs.directory)
    assert labs.recall() is None
    if undone:
        labs.write()
        assert labs.recall() == checked


@given(st.text(alphabet="0123456789 x\n[]#=", max_size=6), st.integers(0, len(MAIN)))
@settings(max_examples=40, deadline=None)
def test_any_text_that_is_put_in_is_noticed(labs: Lab, text: str, position: int) -> None:
    """Even a comment or a blank: there is one definition of what a configuration means."""
    labs.write()
    checked = labs.check()
    Path(labs.file).write_text(MAIN[:position] + text + MAIN[position:])
    assert labs.recall() == (checked if not text else None)


@pytest.mark.parametrize(
    "changes",
    [
        {"PORT": "4001"},
        {"PORT": None},
        {"EXTRA": "x"},
        {"EXTRA": ""},
        {"PYROCTL_SERVICES_ES_QUEUE_SIZE": "78"},
        {"PYROCTL_SERVICES_ES_QUEUE_SIZE": None},
        {"PYROCTL_MANAGER_NAME": "other"},
        {"PYROCTL_SERVICES_NOBODY": "1"},
    ],
)
def test_a_change_of_any_variable_is_noticed(lab: Lab, changes: dict[str, str | None]) -> None:
    """Those that were used, those that were not set, and settings that are new."""
    lab.check()
    new = {**lab.environ, **changes}
    lab.environ = {name: value for name, value in new.items() if value is not None}
    assert lab.recall() is None


def test_another_program_checks_for_itself(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version, Python, user and the text of the modules that check belong to the proof."""
    for place, name, other in (
        ("pyroctl", "__version__", "0"),
        ("sys", "version", "3.99"),
        ("os", "geteuid", lambda: 12345),
        ("pyroctl.config.memory.content", "_modules", lambda: [("types.py", 1, 2)]),
    ):
        found = load(lab.file, lab.environ, "/").memory
        assert found is not None
        remembered = to_bytes(*found)
        with monkeypatch.context() as patch:
            patch.setattr(f"{place}.{name}", other)
            with pytest.raises(OutdatedError):
                from_bytes(remembered, lab.file, str(lab.directory), lab.environ)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_was_tampered_with_never_means_anything_else(labs: Lab, data: st.DataObject) -> None:
    """A changed byte, a truncation, an addition: it is ignored, and rewritten by the next check."""
    labs.write()
    checked = labs.check()
    good = labs.remembered.read_bytes()
    position = data.draw(st.integers(0, len(good) - 1))
    bad = data.draw(
        st.sampled_from(
            [
                good[:position],
                good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :],
                good[:position] + b"1" + good[position:],
                good + good[position:],
                b"[" * 100_000,
                b'{"proof": 1, "questions": {}}\n[]\n',
            ]
        )
    )
    labs.remembered.write_bytes(bad)
    assert labs.recall() in (None, checked)
    if bad[-1:] != good[-1:] or len(bad) < len(good):
        assert labs.recall() is None
    labs.check()
    assert labs.recall() == checked


def test_only_classes_of_the_configuration_are_created(lab: Lab) -> None:
    """Even with a valid proof nothing else can be made of the content."""
    memory = load(lab.file, lab.environ, "/").memory
    assert memory is not None
    results: tuple[object, ...] = (
        {"class": "Popen", "fields": {"args": ["touch", str(lab.directory / "harm")]}},
        {"class": "Checked", "fields": {"deployment": 1}},
        {"class": "Deployment", "fields": {"wrong": 1}},
        {"keys": []},
        None,
    )
    for result in results:
        text = json.dumps(result)
        head = {"proof": content._proof(memory[1], text), "questions": memory[1].questions()}
        planted = f"{json.dumps(head)}\n{text}\n".encode()
        with pytest.raises(OutdatedError, match="damaged"):
            from_bytes(planted, lab.file, str(lab.directory), lab.environ)
    assert not (lab.directory / "harm").exists()


def test_a_file_that_others_can_use_is_ignored(lab: Lab) -> None:
    """Its mode, its directory's, a second name, a link, a FIFO, an owner: each is checked."""
    checked = lab.check()
    remembered, good = lab.remembered, lab.remembered.read_bytes()
    for mode in (0o644, 0o620, 0o604):
        remembered.chmod(mode)
        assert lab.recall() is None
    remembered.chmod(0o600)
    for mode in (0o777, 0o720):
        lab.state.chmod(mode)
        assert lab.recall() is None
    lab.state.chmod(0o700)
    other = lab.directory / "other"
    os.link(remembered, other)
    assert lab.recall() is None
    remembered.unlink()
    remembered.symlink_to(other)
    assert lab.recall() is None
    assert lab.check() == checked
    assert other.read_bytes() == good
    assert not remembered.is_symlink()
    assert remembered.stat().st_mode & 0o777 == 0o600
    if os.geteuid() == 0:
        os.chown(remembered, 65534, 0)
        assert lab.recall() is None
    remembered.unlink()
    os.mkfifo(remembered, 0o600)
    assert lab.recall() is None
    lab.check()
    assert lab.recall() == checked


@pytest.mark.skipif(os.geteuid() != 0, reason="only root distrusts")
@pytest.mark.parametrize("name", ["lab.toml", "more.toml", "market.env", "modules"])
def test_root_distrusts_as_the_check_does(lab: Lab, name: str) -> None:
    """A file or a directory of modules that others may write is not used, though unchanged."""
    lab.check()
    (lab.directory / name).chmod(0o777)
    assert lab.recall() is None


def test_no_secret_is_written_that_no_file_of_the_configuration_contains(lab: Lab) -> None:
    """Values of env files are read again; an `env` that uses our environment isn't remembered."""
    lab.check()
    assert b"hunter2" not in lab.remembered.read_bytes()
    lab.environ["TOKEN"] = "hidden"
    drop_in = lab.directory / "lab.d" / "2.toml"
    drop_in.write_text('[services.market.env]\nTOKEN = "${TOKEN}"\n')
    found = load(lab.file, lab.environ, "/")
    assert found.deployment.services["market@1"].env["TOKEN"] == "hidden"
    assert found.memory is None
    drop_in.unlink()
    lab.environ["PYROCTL_SERVICES_MARKET_ENV_TOKEN"] = "hidden"
    assert load(lab.file, lab.environ, "/").memory is None


def test_loading_checks_once(lab: Lab) -> None:
    """The second time no process is started; errors are never remembered."""
    state = str(lab.state)
    first = load_apart(lab.file, {**os.environ, **lab.environ}, "/", state)
    assert Loading(lab.file, {**os.environ, **lab.environ}, "/", state)._process is None
    assert load_apart(lab.file, {**os.environ, **lab.environ}, "/", state) == first
