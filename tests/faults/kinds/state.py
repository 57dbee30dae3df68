"""Files that are not what they should be: roster, counters, lock, configuration; and missing."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.fault import Effect, Fault, NotSurvived
from tests.faults.kinds.processes import ALL, MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.faults.scene import Scene

HOW = ("cut short", "empty", "random", "damaged", "a directory")


def corrupt(path: Path, how: str, chance: Random) -> None:
    """Put something else in the place of a file, whatever was there."""
    data = bytearray(path.read_bytes()) if path.is_file() else bytearray(chance.randbytes(300))
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    if how == "a directory":
        path.mkdir()
        (path / "file").touch()
    elif how == "cut short":
        path.write_bytes(data[: chance.randrange(1, len(data) + 1)])
    elif how == "random":
        path.write_bytes(chance.randbytes(chance.randrange(1, 2000)))
    elif how == "damaged":
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
    else:
        path.touch()


def _clear(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)


def service_file(prefix: str, how: str) -> Callable[[Scene, Random], Effect]:
    """Return a fault that corrupts a file of the event service, and kills it."""

    def inject(scene: Scene, chance: Random) -> Effect:
        directory = scene.deployment.root / "state" / "services" / "es"
        scene.kill("manager", signal.SIGSTOP)
        try:
            scene.killed("es")
            found = [each for each in directory.iterdir() if each.name.startswith(prefix)]
            path = (found or [directory / prefix])[0]
            corrupt(path, how, chance)
        finally:
            scene.kill("manager", signal.SIGCONT)
        if how == "a directory":
            _until_ready(scene)
            _clear(path)
            scene.deployment.run("restart", "es", "--yes")
        return Effect(frozenset({"es"}), forgets=True)

    return inject


def _until_ready(scene: Scene) -> None:
    while scene.deployment.state("es") != "running":
        time.sleep(0.05)


def manager_file(name: str, how: str) -> Callable[[Scene, Random], Effect]:
    """Return a fault that corrupts a file of a killed manager, whose successor finds it."""

    def inject(scene: Scene, chance: Random) -> Effect:
        path = scene.deployment.root / "state" / name
        scene.killed("manager")
        corrupt(path, how, chance)
        started = scene.deployment.run("start", code=None)
        if started.returncode:
            if str(path) not in started.stderr:
                raise NotSurvived(f"start doesn't tell what is wrong: {started.stderr}")
            _clear(path)
            scene.start()
        return Effect(ALL)

    return inject


def no_runtime_directory(scene: Scene, chance: Random) -> Effect:
    """Remove the sockets, perhaps while a command or a restart uses them."""
    scene.kill(chance.choice(["ticker", "counter"]))
    shutil.rmtree(scene.deployment.root / "run", ignore_errors=True)
    scene.deployment.run("status", code=None)
    return Effect(frozenset({"ticker", "counter"}))


def garbage_configuration(scene: Scene, chance: Random) -> Effect:
    """Replace the configuration by random bytes while it is loaded, and again by a good one."""
    path = scene.deployment.root / "pyroctl.toml"
    scene.configure(f"\n[services.ticker.env]\nNUMBER = '{chance.randrange(1 << 30)}'\n")
    with scene.deployment.popen("reload", "--yes") as reload:
        time.sleep(chance.uniform(0.0, 0.6))
        corrupt(path, chance.choice(HOW), chance)
        _, err = reload.communicate(timeout=50)
    if "Traceback" in err or reload.returncode not in (0, 6):
        raise NotSurvived(f"reload ended with {reload.returncode}: {err}")
    refused = scene.deployment.run("reload", "--yes", code=None)
    if refused.returncode not in (0, 6):  # it may have been cut where it is still valid
        raise NotSurvived(f"reload of garbage ended with {refused.returncode}: {refused.stderr}")
    _clear(path)
    scene.configure()
    scene.deployment.run("reload", "--yes")
    scene.start()
    return Effect(ALL - MANAGER - {"fdstore"})


def manager_starts_with_garbage(scene: Scene, chance: Random) -> Effect:
    """Kill the manager, and start with a configuration that is garbage: refused; and repair it."""
    path = scene.deployment.root / "pyroctl.toml"
    scene.killed("manager")
    path.write_bytes(chance.randbytes(500))
    refused = scene.deployment.run("start", code=6)
    if "Traceback" in refused.stderr:
        raise NotSurvived(refused.stderr)
    scene.configure()
    scene.start()
    return Effect(MANAGER)


def stray_files(scene: Scene, chance: Random) -> Effect:
    """Leave things in the private directories that nobody expects there."""
    for name in ("run", "state", "state/services/es"):
        path = scene.deployment.root / name / f"stray{chance.randrange(99)}"
        path.write_bytes(chance.randbytes(20))
        Path(f"{path}.link").symlink_to("/nonexistent")
    scene.killed("es")
    scene.killed("manager")
    scene.start()
    return Effect(MANAGER | {"es"})


FAULTS = [
    *(
        Fault(f"{name} of es is {how}", service_file(prefix, how), quick=(name, how) == quick)
        for quick in [("roster", "damaged")]
        for name, prefix in (("roster", "roster"), ("counters", "tallies-"), ("parting", "parting"))
        for how in HOW
    ),
    *(Fault(f"manager.lock is {how}", manager_file("manager.lock", how), most=20) for how in HOW),
    Fault("keeper.lock is random", manager_file("keeper.lock", "random"), most=20),
    Fault("keeper.sock is random", manager_file("keeper.sock", "random"), most=20),
    Fault("guard.lock is a directory", manager_file("guard.lock", "a directory"), "stop", most=20),
    Fault("runtime directory removed", no_runtime_directory, quick=True),
    Fault("runtime directory removed, orphans = stop", no_runtime_directory, "stop"),
    Fault("configuration is garbage during a reload", garbage_configuration, quick=True),
    Fault("manager starts with a garbage configuration", manager_starts_with_garbage, most=20),
    Fault("stray files", stray_files, most=20),
]
