"""Logs of real services: floods, several at once, separate, compressed, on a full disk."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

FLOOD = """
import os, sys
block = b"".join(b"%07d %s\\n" % (n, b"x" * 91) for n in range(1000))
while True:
    os.write(1, block)
"""
GIGABYTE = """
import os, sys, time
block = b"".join(b"%07d %s\\n" % (n, b"x" * 91) for n in range(10_000))
while not os.path.exists("gate"): time.sleep(0.01)
for _ in range(1000):
    rest = memoryview(block)
    while rest: rest = rest[os.write(1, rest):]
print("that was a gigabyte", flush=True)
time.sleep(1000)
"""
COUNT_AT_GATE = """
import os, sys, time
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
for n in range(int(sys.argv[2])): print("line", n)
sys.stdout.flush()
time.sleep(1000)
"""
BOTH = """
import sys, time
for n in range(100):
    print("out", n, flush=True)
    print("err", n, file=sys.stderr, flush=True)
time.sleep(1000)
"""
CLOSED = """
import os, time
print("the last that you hear", flush=True)
os.close(1), os.close(2)
time.sleep(1000)
"""


def script(deployment: Deployment, name: str, source: str, *args: object, log: str = "{}") -> str:
    file = deployment.root / f"{name}.py"
    file.write_text(source)
    command = json.dumps([sys.executable, str(file), *map(str, args)])
    return (
        f'[services.{name}]\nkind = "command"\nready = {{ delay = 0 }}\n'
        f"command = {command}\nlog = {log}\n"
    )


def peak_memory(pid: int) -> int:
    """Return the peak of its resident memory so far, in bytes."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(line) << 10


def lines_of(deployment: Deployment, *args: str) -> list[dict[str, str]]:
    lines = deployment.json("logs", *args)["data"]["lines"]
    return [line for line in lines if not line["text"].startswith("[pyroctl]")]


def test_a_flood_neither_blocks_nor_exhausts_the_manager(deployment: Deployment) -> None:
    """Two write as fast as they can; commands are answered, memory and disk stay bounded."""
    log = "{ max_bytes = 3_000_000, keep = 2 }"
    deployment.configure(
        script(deployment, "one", FLOOD, log=log) + script(deployment, "two", FLOOD, log=log)
    )
    deployment.run("start")
    logs = deployment.root / "logs"
    for name in ("one", "two"):
        eventually((logs / f"{name}.log.2").exists, "a flood")
    manager = deployment.manager_pid()
    for _ in range(5):
        began = time.monotonic()
        assert deployment.json("status")["status"] == "success"
        assert time.monotonic() - began < 5
    with open(f"/proc/{manager}/statm") as statm:  # noqa: PTH123
        assert int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") < 150 << 20
    deployment.run("stop")
    assert sum(f.stat().st_size for f in logs.iterdir() if f.name[:3] in {"one", "two"}) <= 18e6
    *whole, _cut_by_the_stop = lines_of(deployment, "one", "-n", "20000")
    numbers = [int(line["text"][:7]) for line in whole]
    assert all((b - a) % 1000 == 1 for a, b in itertools.pairwise(numbers))


def test_a_gigabyte_is_taken_without_a_gap(deployment: Deployment) -> None:
    """Nothing is dropped, since the service waits; memory stays where it was, commands answer."""
    log = "{ max_bytes = 5_000_000, keep = 3 }"
    deployment.configure(script(deployment, "giga", GIGABYTE, log=log))
    deployment.run("start")
    manager = deployment.manager_pid()
    (deployment.root / "gate").touch()
    answers = 0
    while not deployment.run("logs", "-n", "1").stdout.endswith("that was a gigabyte\n"):
        assert deployment.state("giga") == "running"
        answers += 1
    assert answers
    assert peak_memory(manager) < 60 << 20
    lines = lines_of(deployment, "giga", "-n", "20001")[:-1]
    numbers = [int(line["text"][:7]) for line in lines]
    assert all(b == (a + 1) % 10_000 for a, b in itertools.pairwise(numbers))
    assert len(numbers) > 19_990  # there are lines of ours among them


def test_stderr_may_be_kept_apart(deployment: Deployment) -> None:
    """Each stream has its own file; `logs` shows both in order of time, and marks each line."""
    deployment.configure(script(deployment, "both", BOTH, log='{ stderr = "apart" }'))
    deployment.run("start")
    eventually(lambda: len(lines_of(deployment, "both", "-n", "500")) == 200, "all is written")
    lines = lines_of(deployment, "both", "-n", "500")
    for stream, word in (("output", "out"), ("stderr", "err")):
        texts = [line["text"] for line in lines if line["stream"] == stream]
        assert texts == [f"{word} {n}" for n in range(100)]
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    shown = deployment.run("logs", "both", "-n", "500").stdout
    assert " | out 7\n" in shown
    assert " ! err 7\n" in shown


def test_together_their_order_is_kept(deployment: Deployment) -> None:
    """Both share a pipe, so lines are in the order in which the service wrote them."""
    deployment.configure(script(deployment, "both", BOTH))
    deployment.run("start")
    eventually(lambda: len(lines_of(deployment, "both", "-n", "500")) == 200, "all is written")
    texts = [line["text"] for line in lines_of(deployment, "both", "-n", "500")]
    assert texts == [f"{word} {n}" for n in range(100) for word in ("out", "err")]


def test_a_service_that_closes_its_output_lives_on(deployment: Deployment) -> None:
    """It runs, the manager doesn't spin, and earlier output is in the log."""
    deployment.configure(script(deployment, "mute", CLOSED))
    deployment.run("start")
    eventually(lambda: lines_of(deployment, "mute"), "its last words")
    assert deployment.state("mute") == "running"
    deployment.run("restart", "mute")
    assert deployment.state("mute") == "running"


def test_several_services_are_shown_in_order_of_time_with_their_names(
    deployment: Deployment,
) -> None:
    """Compressed files are included; --grep and --since filter."""
    gate = deployment.root / "gate"
    log = "{ max_bytes = 20_000, keep = 99, gzip = true }"
    deployment.configure(
        script(deployment, "a", COUNT_AT_GATE, gate, 2000, log=log)
        + script(deployment, "longer", COUNT_AT_GATE, gate, 2000, log=log)
    )
    deployment.run("start")
    before = datetime.now().astimezone().isoformat()
    gate.touch()
    eventually(lambda: len(lines_of(deployment, "-n", "9999")) == 4000, "all is written")
    logs = deployment.root / "logs"
    eventually(lambda: list(logs.glob("a.log.*.gz")), "compressed files")
    lines = lines_of(deployment, "-n", "9999")
    for name in ("a", "longer"):
        texts = [line["text"] for line in lines if line["service"] == name]
        assert texts == [f"line {n}" for n in range(2000)]
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert lines_of(deployment, "--since", before) == lines
    assert lines_of(deployment, "--since", before, "-n", "7") == lines[-7:]
    assert lines_of(deployment, "--since", "2100-01-01") == []
    shown = deployment.run("logs", "--grep", "line 1.*7$", "-n", "3").stdout.splitlines()
    assert [re.sub(r"^\S+ ", "", line) for line in shown[-1:]] in (
        ["a      | line 1997"],
        ["longer | line 1997"],
    )
    assert "--grep '('" in deployment.run("logs", "--grep", "(", code=2).stderr


def test_following_loses_nothing_to_rotation_and_compression(deployment: Deployment) -> None:
    """A reader that is slower than the service finds its place in rotated files."""
    gate = deployment.root / "gate"
    log = "{ max_bytes = 20_000, keep = 999, gzip = true }"
    deployment.configure(script(deployment, "feed", COUNT_AT_GATE, gate, 20_000, log=log))
    deployment.run("start")
    with deployment.popen("logs", "-f", "feed", "--json", "--grep", "line|running") as follow:
        assert follow.stdout is not None
        while "running" not in json.loads(follow.stdout.readline())["text"]:
            pass
        follow.send_signal(signal.SIGSTOP)
        gate.touch()
        eventually(lambda: lines_of(deployment, "feed", "-n", "1")[-1:] != [], "output")
        eventually(
            lambda: lines_of(deployment, "feed", "-n", "1")[0]["text"] == "line 19999", "all of it"
        )
        follow.send_signal(signal.SIGCONT)
        seen = [json.loads(follow.stdout.readline())["text"] for _ in range(20_000)]
        follow.send_signal(signal.SIGINT)
        follow.communicate(timeout=20)
    assert seen == [f"line {n}" for n in range(20_000)]
    assert list((deployment.root / "logs").glob("feed.log.*.gz"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_costs_the_service_nothing(deployment: Deployment) -> None:
    """It runs on; status counts lost lines; writing resumes when there is room."""
    import subprocess

    logs = deployment.root / "logs"
    logs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(logs)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting isn't permitted here")
    try:
        gate, tick = deployment.root / "gate", deployment.root / "tick"
        deployment.configure(
            script(deployment, "feed", COUNT_AT_GATE, gate, 8000)
            + script(deployment, "tick", COUNT_AT_GATE, tick, 1)
        )
        deployment.run("start")
        gate.touch()
        eventually(lambda: "could not be written" in deployment.service("feed")["detail"], "full")
        assert deployment.state("feed") == "running"
        for file in logs.glob("feed.log*"):
            file.unlink()
        tick.touch()
        eventually(lambda: lines_of(deployment, "tick"), "it is written again")
        gate.unlink()
        deployment.run("restart", "feed")
        shown = deployment.run("logs", "feed", "-n", "9999").stdout
        assert "are missing here: No space left on device" in shown
        deployment.run("shutdown")
    finally:
        subprocess.run(["umount", "-l", logs], check=True)
