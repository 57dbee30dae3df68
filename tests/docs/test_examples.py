"""The examples do what they promise: real processes around a real event service."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
NAME_SERVER = """
from Pyro5.nameserver import start_ns
uri, daemon, broadcast = start_ns("localhost", 0, enableBroadcast=False)
print(uri.location, flush=True)
daemon.requestLoop()
"""


class Program:
    """A Python program whose lines on stdout can be waited for."""

    def __init__(self, *arguments: object) -> None:
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYRO_")}
        env["PYTHONPATH"] = f"{ROOT / 'services'}{os.pathsep}{ROOT}"
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.lines)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors)),
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, text: str) -> str:
        """Wait for a line that contains the text, and return it."""

        def found() -> str | None:
            return next((line for line in [*self.lines] if text in line), None)

        line = eventually(found, f"{text!r} in {self.lines} {self.errors}")
        assert line is not None
        return line

    def types(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self, number: int | None = None) -> list[str]:
        """Wait for a successful end, after a signal if one is given; returns all output."""
        if number is not None:
            self.process.send_signal(number)
        assert self.process.wait(30) == 0, self.errors
        self._finish()
        assert self.errors == []
        return self.lines

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._finish()
        assert not is_alive(self.process.pid)

    def _finish(self) -> None:
        for reader in self._readers:
            reader.join(10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    @staticmethod
    def _read(stream, lines: list[str]) -> None:
        lines.extend(iter(stream.readline, ""))


class Stage:
    """Starts programs, and ends all of them."""

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self.address: tuple[str, ...] = ()

    def run(self, *arguments: object) -> Program:
        self.programs.append(Program(*arguments))
        return self.programs[-1]

    def example(self, name: str, *arguments: object) -> Program:
        return self.run(EXAMPLES / name, *self.address, *arguments)

    def close(self) -> None:
        for program in reversed(self.programs):
            if program.process.returncode is None:
                program.kill()


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    es = made.run("-m", "pyro_events", "--no-ns")
    made.address = ("--es", es.wait_for("is ready").split()[0])
    yield made
    made.close()


@pytest.fixture
def named_stage() -> Iterator[Stage]:
    made = Stage()
    place = made.run("-c", NAME_SERVER).wait_for(":").strip()
    made.run("-m", "pyro_events", "--ns", place).wait_for("is ready")
    made.address = ("--ns", place)
    yield made
    made.close()


def quotes(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if re.match(r"\w+ +\d+\.\d\d", line)]


@pytest.mark.parametrize("by_name", [False, True])
def test_stocks(by_name: bool, request: pytest.FixtureRequest) -> None:
    """The ticker shows the requested stock and those that match, and nothing else."""
    stage: Stage = request.getfixturevalue("named_stage" if by_name else "stage")
    ticker = stage.example("stocks/subscriber.py", "--count", 20)
    ticker.wait_for("Connected to PYRO:Pyro.EventService@")
    exchange = stage.example("stocks/publisher.py", "--interval", 0.005)
    shown = quotes(ticker.end())
    assert len(shown) == 20
    assert set(shown) <= {"IBM", "SAP", "SUN", "SONY"}
    assert ticker.lines[-1] == "Goodbye.\n"
    # The interrupt may come in the middle of a line.
    assert exchange.end(signal.SIGINT)[-1].endswith("The exchange is closed.\n")


def test_stocks_counts_what_it_publishes(stage: Stage) -> None:
    """Every quote that is published arrives, in order."""
    ticker = stage.example("stocks/subscriber.py", "--stock", "AMD", "--match", "[^A]")
    ticker.wait_for("Connected")
    exchange = stage.example("stocks/publisher.py", "--count", 200, "--interval", 0)
    published = [line.split()[:2] for line in exchange.end()]
    assert len(published) == 200
    eventually(lambda: len(quotes(ticker.lines)) == 200)
    assert [line.split()[:2] for line in ticker.end(signal.SIGTERM)[1:-1]] == published


def test_cars(named_stage: Stage) -> None:
    """Each kind is counted up to its limit, and then unsubscribed."""
    stage = named_stage
    options = ("--count", 5, "--colour", "green", "--brand", "fiat", "--brand", "seat")
    counter = stage.example("cars/counter.py", *options)
    counter.wait_for("Counting.")
    traffic = stage.example("cars/traffic.py", "--interval", 0.002)
    lines = counter.end()
    assert lines[-1] == "5 green, 5 fiat, 5 seat\n"
    counted = Counter(line.partition(":")[0] for line in lines if re.match(r"\w+: \d+$", line))
    assert counted == {"green": 5, "fiat": 5, "seat": 5}
    assert sum("that is enough." in line for line in lines) == 3
    assert traffic.end(signal.SIGINT)[-1] == "The road is empty.\n"


def test_cars_end_in_order_before_all_are_seen(stage: Stage) -> None:
    """TERM ends the counter, which unsubscribes; the traffic ends by itself."""
    counter = stage.example("cars/counter.py", "--colour", "purple")
    counter.wait_for("Counting.")
    assert stage.example("cars/traffic.py", "--count", 20, "--interval", 0).end() == [
        "The road is empty.\n"
    ]
    assert counter.end(signal.SIGTERM)[-1] == "0 purple\n"


def test_chat(stage: Stage) -> None:
    """A member of a room receives its messages, and only those."""
    ann = stage.example("chat/chat.py", "ann")
    ann.wait_for("[lobby] * ann is here")
    bob = stage.example("chat/chat.py", "bob")
    ann.wait_for("[lobby] * bob is here")
    ann.types("Hello, bob!")
    bob.wait_for("[lobby] ann: Hello, bob!")
    ann.types("/join kitchen")
    ann.wait_for("[kitchen] * ann is here")
    ann.types("Nobody here")
    ann.wait_for("[kitchen] ann: Nobody here")
    ann.types("/dance")
    ann.wait_for("/join ROOM")
    ann.types("/leave")
    ann.types("Back again")
    bob.wait_for("[lobby] ann: Back again")
    bob.types("/quit")
    assert bob.end()[-1] == "Goodbye.\n"
    ann.wait_for("[lobby] * bob has left")
    ann.types("/leave")
    ann.types("hello?")
    ann.wait_for("You are in no room")
    assert ann.end(signal.SIGINT)[-1] == "Goodbye.\n"
    assert not [line for line in bob.lines if "kitchen" in line]


def test_chat_reads_a_pipe_to_its_end(stage: Stage) -> None:
    """Without a terminal it publishes each line, waits for its own messages, and exits."""
    listener = stage.example("chat/chat.py", "ann", "--count", 5)
    listener.wait_for("ann is here")
    speaker = stage.example("chat/chat.py", "bob")
    for line in ("one", "two"):
        speaker.types(line)
    assert speaker.process.stdin is not None
    speaker.process.stdin.close()
    assert speaker.end() == [
        "[lobby] * bob is here\n",
        "[lobby] bob: one\n",
        "[lobby] bob: two\n",
        "[lobby] * bob has left\n",
        "Goodbye.\n",
    ]
    printed = listener.end()
    assert printed[1:5] == ["[lobby] * bob is here\n", "[lobby] bob: one\n", "[lobby] bob: two\n",
                         "[lobby] * bob has left\n"]  # fmt: skip
    assert printed[-1] == "Goodbye.\n"


@pytest.mark.parametrize(
    "example", ["stocks/publisher.py", "stocks/subscriber.py", "cars/traffic.py", "cars/counter.py"]
)
def test_help_names_every_option(stage: Stage, example: str) -> None:
    """Each example takes --es, --ns and --count."""
    text = "".join(stage.run(EXAMPLES / example, "--help").end())
    assert {"--es", "--ns", "--count"} <= set(re.findall(r"--\w+", text))


def test_the_readme_shows_commands_that_exist() -> None:
    """It names exactly the programs that exist."""
    text = (EXAMPLES / "README.md").read_text()
    named = set(re.findall(r"python ((?:\w+/)\w+\.py)", text))
    programs = [path for path in EXAMPLES.glob("*/*.py") if "__main__" in path.read_text()]
    assert named == {str(path.relative_to(EXAMPLES)) for path in programs}
