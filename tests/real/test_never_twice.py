"""There is one manager of a deployment, whatever becomes of its directories."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyroctl.paths import Paths, deployment_paths
from tests.harness import Deployment, eventually, is_alive
from tests.real.test_adoption import ADOPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TALKER = """
import os, socket, sys, time
def sender():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.connect(os.environ["NOTIFY_SOCKET"])
    return sock
early = sender()
early.send(b"READY=1")
for name in ("early", "late"):
    while not os.path.exists(sys.argv[1] + name):
        time.sleep(0.02)
    (early if name == "early" else sender()).send(b"STATUS=" + name.encode())
time.sleep(1000)
"""
"""Sends `early` by a socket connected at its start, and `late` by a new one, when told to."""
TICKS = """
[services.tick]
kind = "command"
command = ["sh", "-c", "while sleep 0.02; do n=$((n+1)); echo line $n; done"]
"""


class Placed(Deployment):
    """A deployment in the user's directories, with a service that uses its socket."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.place = ["-c", str(root / "pyroctl.toml")]
        self._above = Path(tempfile.mkdtemp(prefix="pyroctl-"))  # short enough
        self.runtime = self._above / "rt"
        self.runtime.mkdir(mode=0o700)
        self.env |= {"XDG_RUNTIME_DIR": str(self.runtime), "XDG_STATE_HOME": str(root / "st")}
        (root / "talker.py").write_text(TALKER)

    def paths(self) -> Paths:
        return deployment_paths(self.place[1], None, self.env)

    def close(self) -> None:
        if Path(self.place[1]).exists():
            super().close()
        shutil.rmtree(self._above)

    def talk(self, *, orphans: str = "stop") -> None:
        """Start a manager with the service `talker`."""
        self.configure(
            f'[manager]\norphans = "{orphans}"\n[services.talker]\nkind = "command"\n'
            f'command = ["python", "{self.root}/talker.py", "{self.root}/"]\nready = "notify"\n'
        )
        self.run("start")

    def hears(self, word: str) -> bool:
        """Return whether the service's status text arrives."""
        (self.root / word).touch()
        eventually(lambda: self.service("talker")["detail"] == word, word)
        return True

    def copies(self) -> tuple[int, int]:
        """Return how many managers and talkers there are."""
        commands = list(self.processes().values())
        managers = [c for c in commands if "-m pyroctl.manager " in c and "fdstore" not in c]
        return len(managers), len([c for c in commands if "talker.py" in c])


@pytest.fixture
def placed(tmp_path: Path) -> Iterator[Placed]:
    found = Placed(tmp_path)
    try:
        yield found
    finally:
        found.close()


def remove_all(placed: Placed) -> None:
    shutil.rmtree(placed.runtime)
    placed.runtime.mkdir(mode=0o700, exist_ok=True)


def remove_for_good(placed: Placed) -> None:
    shutil.rmtree(placed.runtime)


def remove_run(placed: Placed) -> None:
    shutil.rmtree(placed.paths().run)


def remove_notify(placed: Placed) -> None:
    shutil.rmtree(placed.paths().notify)


def remove_sockets(placed: Placed) -> None:
    for path in Path(placed.paths().run).rglob("*"):
        if path.is_socket():
            path.unlink()


def move_away(placed: Placed) -> None:
    target = Path(tempfile.mkdtemp(dir=placed.runtime.parent))
    placed.runtime.rename(target / "rt")


REMOVALS = (remove_all, remove_for_good, remove_run, remove_notify, remove_sockets, move_away)


@pytest.mark.parametrize("remove", REMOVALS)
def test_what_is_removed_is_made_again(placed: Placed, remove: Callable[[Placed], None]) -> None:
    """A manager without its sockets makes them again: `status` and its services find it."""
    placed.talk()
    manager, talker = placed.manager_pid(), placed.service("talker")["pid"]
    for _ in range(2):
        remove(placed)
        eventually(lambda: os.path.exists(placed.paths().notify + "/talker"))  # noqa: PTH110
        eventually(lambda: os.path.exists(placed.paths().socket))  # noqa: PTH110
        assert placed.json("status")["data"]["manager"]["pid"] == manager
    placed.run("start")
    assert placed.service("talker")["pid"] == talker
    assert placed.copies() == (1, 1)
    assert placed.hears("early")
    assert placed.hears("late")
    assert "they have been made again" in placed.manager_log()
    assert Path(placed.paths().run).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("orphans", ["stop", "adopt"])
def test_a_command_right_after_the_removal_starts_nothing(placed: Placed, orphans: str) -> None:
    """It sees that the lock is held, and waits for the socket."""
    placed.talk(orphans=orphans)
    manager = placed.manager_pid()
    for _ in range(3):
        shutil.rmtree(placed.runtime)
        placed.run("start")
        assert placed.manager_pid() == manager
        assert placed.copies() == (1, 1)


def test_where_nothing_can_be_made_no_second_manager_starts(placed: Placed) -> None:
    """Commands report that the manager doesn't answer, until the directory can be made again."""
    placed.talk()
    manager = placed.manager_pid()
    shutil.rmtree(placed.runtime)
    placed.runtime.touch()
    assert "does not answer" in placed.run("start", code=4).stderr
    assert placed.copies() == (1, 1)
    eventually(lambda: "can't be made" in placed.manager_log())
    placed.runtime.unlink()
    assert placed.json("status")["data"]["manager"]["pid"] == manager
    assert placed.hears("early")


def test_adopted_services_survive_without_manager_and_directory(placed: Placed) -> None:
    """The descriptor store is found in the state directory, and makes no second copy."""
    placed.talk(orphans="adopt")
    talker = placed.service("talker")["pid"]
    placed.kill_manager()
    eventually(lambda: placed.copies() == (0, 1))
    shutil.rmtree(placed.runtime)
    placed.run("start")
    assert placed.service("talker")["pid"] == talker
    assert placed.copies() == (1, 1)
    assert placed.hears("early")
    assert placed.hears("late")


def test_another_environment_finds_the_same_manager(placed: Placed) -> None:
    """Without XDG_RUNTIME_DIR, as in cron, or with another one, no second manager starts."""
    placed.talk()
    manager = placed.manager_pid()
    for other in (None, str(placed.root / "other")):
        placed.env.pop("XDG_RUNTIME_DIR")
        placed.env |= {"XDG_RUNTIME_DIR": other} if other else {"XDG_RUNTIME_DIR": ""}
        placed.run("start")
        assert placed.manager_pid() == manager
        assert placed.copies() == (1, 1)


def test_a_removed_lock_is_made_again(placed: Placed) -> None:
    """Even if somebody removes the whole state directory, a second manager can't start."""
    placed.talk()
    manager = placed.manager_pid()
    shutil.rmtree(placed.paths().state)
    eventually(lambda: os.path.exists(placed.paths().lock))  # noqa: PTH110
    placed.run("start")
    assert placed.manager_pid() == manager
    assert placed.copies() == (1, 1)


def test_a_copied_deployment_is_another_one(placed: Placed) -> None:
    """A copy of the lock file of a running manager means nothing."""
    placed.talk()
    content = Path(placed.paths().lock).read_text()
    copy = Deployment(placed.root / "copy")
    (copy.root / "state").mkdir(parents=True)
    (copy.root / "state" / "manager.lock").write_text(content)
    copy.configure(TICKS)
    try:
        assert copy.json("status", code=None)["data"]["manager"]["pid"] is None
        copy.run("start")
        assert placed.copies() == (1, 1)
    finally:
        copy.close()


@contextlib.contextmanager
def locked(path: Path, content: str) -> Iterator[None]:
    """Lock the file as a manager does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_a_manager_of_an_older_version_is_respected(deployment: Deployment) -> None:
    """It has locked run/manager.lock only; once it has ended, a new one starts."""
    deployment.configure(TICKS)
    former = deployment.root / "run" / "manager.lock"
    with locked(former, f"{os.getpid()} boot\n"):
        refused = deployment.run("start", code=4).stderr
        assert f"the manager (pid {os.getpid()}) does not answer" in refused
        refused = deployment.run("run", code=None).stderr
        assert f"another manager (pid {os.getpid()} on another machine) runs" in refused
        assert not [c for c in deployment.processes().values() if "sh -c" in c]
    deployment.run("start")
    assert not former.exists()


def test_a_link_in_place_of_a_private_directory_is_refused(deployment: Deployment) -> None:
    """Nothing is created or deleted where a link leads."""
    deployment.configure(TICKS)
    precious = deployment.root / "precious"
    (precious / "notify").mkdir(parents=True)
    (precious / "notify" / "file").touch()
    for name in ("state", "run"):
        (deployment.root / name).symlink_to(precious)
        refused = deployment.run("start", code=1).stderr
        assert f"cannot create {deployment.root}/{name}: it is a symbolic link" in refused
        (deployment.root / name).unlink()
    assert [p.name for p in precious.rglob("*")] == ["notify", "file"]


def test_a_root_too_long_for_sockets_gets_a_short_place(placed: Placed) -> None:
    """`start` reports where the sockets are; everything else stays below the root."""
    root = placed.root / ("long" * 30)
    root.mkdir()
    deep = Placed(root)
    shutil.rmtree(deep.runtime)
    deep.place = ["--root", str(root)]
    deep.env |= {"XDG_RUNTIME_DIR": str(placed.runtime)}
    deep.paths = lambda: deployment_paths(None, str(root), deep.env)  # type: ignore[method-assign]
    try:
        deep.talk()
        run = Path(deep.paths().run)
        assert run.parent == placed.runtime / "pyroctl"
        assert (run / "notify" / "talker").is_socket()
        assert run.stat().st_mode & 0o777 == 0o700
        assert f"sockets in {run}" in deep.manager_log()
        for command in ("status", "ls"):
            assert f"sockets are in {run}: the path of --root" in deep.run(command).stdout
        assert deep.hears("early")
        shutil.rmtree(placed.runtime)
        eventually((run / "notify" / "talker").is_socket)
        assert deep.hears("late")
        assert deep.copies() == (1, 1)
    finally:
        deep.close()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("orphans", ["stop", "adopt"])
@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_removed_log_directory_is_made_again(
    deployment: Deployment, orphans: str, how: str
) -> None:
    """With the permissions that it had, as soon as there is a line; none is lost after that."""
    deployment.configure((ADOPT if orphans == "adopt" else "") + TICKS)
    logs = deployment.root / "logs"
    logs.mkdir(mode=0o750)
    logs.chmod(0o2750)
    deployment.run("start")
    log = logs / "tick.log"
    eventually(lambda: "line 5" in log.read_text())
    if how == "moved":
        logs.rename(deployment.root / "logs.old")
    else:
        shutil.rmtree(logs)
    eventually(lambda: log.exists() and log.read_text().count("line") > 5)
    assert mode(logs) == 0o2750
    assert "line" in deployment.run("logs", "-n", "3", "tick").stdout
    numbers = [int(line.split()[-1]) for line in log.read_text().splitlines() if "line" in line]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    if how == "moved":
        last = (deployment.root / "logs.old" / "tick.log").read_text().split()[-1]
        assert int(last) + 1 == numbers[0]


def test_logs_that_cannot_be_written_are_reported(deployment: Deployment) -> None:
    """`logs` reports it on stderr; later the log reports how much is missing."""
    deployment.configure(TICKS)
    deployment.run("start")
    logs = deployment.root / "logs"
    shutil.rmtree(logs)
    logs.touch()
    eventually(lambda: "could not be written" in str(deployment.service("tick")))
    assert (
        f"logs can't be written: check that {logs} is a directory" in deployment.run("logs").stderr
    )
    logs.unlink()
    eventually((logs / "tick.log").exists)
    eventually(lambda: "are missing here: Not a directory" in (logs / "tick.log").read_text())
    assert "can't be written" not in deployment.run("logs").stderr


def test_killed_with_its_directories_nothing_runs_twice(placed: Placed) -> None:
    """Orphans are found by the runtime directory that their manager had."""
    placed.talk()
    (guard,) = [pid for pid, c in placed.processes().items() if "cleanup_process.py" in c]
    manager = placed.manager_pid()
    os.kill(manager, signal.SIGSTOP)  # or it would replace the cleanup process
    os.kill(guard, signal.SIGKILL)
    eventually(lambda: not is_alive(guard))
    os.kill(manager, signal.SIGKILL)
    eventually(lambda: not is_alive(manager))
    placed.was_killed = True
    shutil.rmtree(placed.runtime)
    placed.env["XDG_RUNTIME_DIR"] = str(placed.root / "other")
    assert "1 process left by it was ended now" in placed.run("start").stderr
    assert placed.copies() == (1, 1)


def test_followed_logs_go_on_in_the_directory_that_is_made_again(deployment: Deployment) -> None:
    """`logs -f` doesn't stay with a directory that was moved away or removed."""
    deployment.configure(TICKS)
    deployment.run("start")
    logs = deployment.root / "logs"
    eventually(lambda: "line" in (logs / "tick.log").read_text())
    with deployment.popen("logs", "-f", "tick") as following:
        assert following.stdout is not None
        following.stdout.readline()
        for number in range(2):
            logs.rename(deployment.root / f"old{number}")
            eventually(lambda: (logs / "tick.log").exists() and (logs / "tick.log").stat().st_size)
            new = (logs / "tick.log").read_text().splitlines()[0].split()[-1]
            while f"line {new}\n" not in (line := following.stdout.readline()):
                assert line


def test_a_descriptor_store_of_an_older_version_is_found(placed: Placed) -> None:
    """Its socket is in the runtime directory, and its services are neither lost nor duplicated."""
    placed.talk(orphans="adopt")
    talker = placed.service("talker")["pid"]
    placed.kill_manager()
    eventually(lambda: placed.copies() == (0, 1))
    paths = placed.paths()
    for path in (paths.fdstore_socket, paths.fdstore_lock):
        shutil.move(path, paths.former(path))
    assert placed.json("status", code=None)["data"]["services"][0]["state"] == "running"
    placed.run("start")
    assert placed.service("talker")["pid"] == talker
    assert placed.copies() == (1, 1)
