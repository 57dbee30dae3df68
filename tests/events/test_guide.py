"""The programs in the guides to events run, and work as described."""

from __future__ import annotations

import ast
import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import Pyro5.api
import pytest
from Pyro5 import config

from pyro_events import EventService, Publisher, codec
from tests.events.client_fixtures import Recording
from tests.events.service_harness import Recorder, StockDaemon
from tests.harness import eventually

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (
    "tutorial/first-events.md",
    "how-to/publish-and-receive.md",
    "how-to/send-any-object.md",
    "how-to/call-services.md",
)
BLOCKS = [
    text
    for page in PAGES
    for text in re.findall(
        r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL
    )
]

Read = Callable[[], str]


def block(words: str) -> str:
    """Return the one program of the guides that contains these words."""
    (found,) = (text for text in BLOCKS if words in text)
    return str(found)


def run(text: str, **names: Any) -> dict[str, Any]:
    exec(compile(text, "guide", "exec"), names)
    return names


class InThread:
    """A program that listens until the test aborts it."""

    def __init__(self, text: str, **names: Any) -> None:
        self.names = names
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(text,))
        self.thread.start()

    def _run(self, text: str) -> None:
        try:
            exec(compile(text, "guide", "exec"), self.names)
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.error = error

    def finish(self, subscriber: str) -> None:
        self.names[subscriber].abort()
        self.thread.join(20)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error


@pytest.fixture
def read(capsys: pytest.CaptureFixture[str]) -> Read:
    """Returns everything that was printed so far."""
    seen: list[str] = []

    def read() -> str:
        seen.append(capsys.readouterr().out)
        return "".join(seen)

    return read


@pytest.fixture
def es(name_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An event service that is found by its name, as by the guide's programs."""
    host, _, port = name_server.rpartition(":")
    monkeypatch.setattr(config, "NS_HOST", host)
    monkeypatch.setattr(config, "NS_PORT", int(port))
    with EventService() as running:
        yield running


def test_every_program_of_the_guide_is_run_here() -> None:
    """A new program needs a test."""
    source = Path(__file__).read_text()
    wanted = re.findall(r'block\("((?:[^"\\]|\\.)+)"\)', source)
    covered = {block(ast.literal_eval(f'"{words}"')) for words in wanted}
    assert covered == set(BLOCKS)


def test_start(tidy: None, read: Read) -> None:
    """An event service in a program prints its URI."""
    run(block("EventService(register=False)"))
    assert re.match(r"PYRO:Pyro.EventService@(localhost|127\.0\.0\.1):\d+\n", read())


def test_publish(es: EventService) -> None:
    """Published and posted events arrive, in order."""
    with Recording() as sub:
        sub.subscribe(["StockQuotes", "stockquote.SUN", "lab.temperature"])
        run(block("pub.publish(["))
        run(block("pub.flush()"), sensor=[20.5, 20.6])
        sub.start()
        expected = [("SUN", 22.44), ("SUN", 22.45), ("SUN", 22.45), 20.5, 20.6]
        assert sub.wait(5) == expected


def test_workers(es: EventService) -> None:
    """The initializer makes what a worker publishes with."""
    names = run(
        block("def start_worker"), Publisher=Publisher, ProcessPoolExecutor=ProcessPoolExecutor
    )
    names["start_worker"]()
    with names["pub"] as pub:
        pub.publish("a", 1)


def test_a_queue_of_one_s_own(es: EventService) -> None:
    """The event service has the subscribers' settings."""
    names = run(block("latest_only = Quotes("), Quotes=Recording)
    with names["display"] as display, names["latest_only"] as latest:
        display.subscribe("a")
        latest.subscribe("b")
        assert [each["queue_size"] for each in es.subscriptions()] == [10, 1]
        assert {each["when_full"] for each in es.subscriptions()} == {"drop-oldest"}


def test_a_pipeline(es: EventService) -> None:
    """A patient publisher waits for a subscriber with a small queue, which gets everything."""
    with Recording(queue_size=5) as sub:
        sub.subscribe("records")
        sub.start()
        records = list(range(2000))
        run(block("Publisher(patience=None"), records=records, Publisher=Publisher)
        assert sub.wait(2000) == records


def test_subscribe(es: EventService, read: Read) -> None:
    """Events come by subject and by pattern; `abort` ends `listen`."""
    program = InThread(block("class Quotes(Subscriber)"))
    eventually(lambda: es.statistics()["subscriptions"] == 2)
    es.publish(["stockquotes", "StockQuote.Sun", "stockquote.IBM"], ("SUN", 1))
    eventually(lambda: read().count("\n") == 2)
    program.finish("quotes")
    assert [line.split()[0] for line in read().splitlines()] == ["stockquotes", "StockQuote.Sun"]


def test_iterate(es: EventService, read: Read) -> None:
    """Events are iterated in asyncio."""
    code = compile(block("async for event in sub"), "guide", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def main() -> None:
        task = asyncio.ensure_future(eval(code, {}))
        await asyncio.to_thread(eventually, lambda: es.statistics()["subscriptions"] or task.done())
        es.publish("StockQuotes", ("SUN", 1))
        await asyncio.to_thread(eventually, lambda: "('SUN', 1)" in read() or task.done())
        assert "StockQuotes ('SUN', 1)" in read()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), 30))


def test_hooks(es: EventService, read: Read) -> None:
    """The hooks print their notices."""
    text = block("class Quotes(Subscriber)").partition("\nwith Quotes")[0]
    names = run(text + block("class Careful(Quotes)"))
    with names["Careful"]() as careful:
        thread = threading.Thread(target=careful.listen)
        thread.start()
        careful.subscribeMatch("(a|aa)+$")
        for _ in range(3):
            es.publish("a" * 60 + "b", 1)
        eventually(lambda: "missed an unknown number of events: pattern" in read())
        assert f"connected to {es.uri}" in read()
        es.stop()
        eventually(lambda: "lost the event service: " in read())
        careful.abort()
        thread.join(20)


@Pyro5.api.expose
class Market:
    def price(self, symbol: str) -> float:
        return 22.5

    def headline(self, symbol: str) -> str:
        return f"{symbol} rises"

    def order(self, symbol: str, number: int) -> None:
        pass


@pytest.mark.parametrize("program", [block("OutcomeUnknown"), block("LifeCycle() as events")])
def test_reconnecting_proxies(
    es: EventService, name_server: str, stock: Callable[..., StockDaemon], read: Read, program: str
) -> None:
    """They find services in stock daemons by their names."""
    daemon = stock()
    with Pyro5.api.Proxy(f"PYRO:Pyro.NameServer@{name_server}") as names:
        names.register("stocks.market", daemon.register(Market()))
        names.register("stocks.news", daemon.register(Market()))
    run(program)
    assert "22.5" in read()


def test_own_classes(es: EventService) -> None:
    """Objects of user classes arrive."""

    @dataclass
    class Sample:
        value: int

    with Recording() as sub, Publisher() as pub:
        sub.subscribe("a")
        sub.start()
        run(block("codec.register(Sample"), Sample=Sample)
        try:
            pub.publish("a", [Sample(1)])
            assert sub.wait(1) == [[Sample(1)]]
        finally:
            codec.unregister(Sample)


def test_numpy(es: EventService) -> None:
    """An array arrives."""
    np = pytest.importorskip("numpy")
    from pyro_events import numpy_codec

    with Recording() as sub:
        sub.subscribe("lab.frame")
        sub.start()
        run(block("numpy_codec.register()"))
        try:
            (message,) = sub.wait(1)
        finally:
            numpy_codec.unregister()
        assert message["frame"].shape == (480, 640)
        assert message["frame"].dtype == np.dtype("u2")
        assert type(message["mean"]) is np.float32


def test_pickle(es: EventService, read: Read) -> None:
    """A message that we signed is opened, those of others are not."""
    program = InThread(block("SignedPickle(key)"), key=bytes(32), model=bytearray(b"model"))
    eventually(lambda: "got bytearray(b'model')" in read())
    es.publish("lab.model", "from another program")
    eventually(lambda: "not from us: the message is not a signed pickle" in read())
    program.finish("models")


def test_without_this_package(es: EventService, stock: Callable[..., StockDaemon]) -> None:
    """A bare proxy publishes, and subscribes an object."""
    recorder = Recorder()
    daemon = stock()
    daemon.register(recorder)
    with Recording() as sub:
        sub.subscribe("StockQuotes")
        sub.start()
        run(block("import Pyro5.api"), my_object=recorder)
        assert sub.wait(1) == [["SUN", 22.44]]
        es.publish("StockQuotes", 2)
        (event,) = eventually(lambda: recorder.events)
        assert (event["subject"], event["msg"]) == ("StockQuotes", 2)


def test_identification(tidy: None, tmp_path: Path) -> None:
    """The identification in the guide is accepted."""
    secret = tmp_path / "es.secret"
    secret.write_text("an-identification")
    secret.chmod(0o600)
    with EventService(register=False, ident="an-identification") as es:
        programs = block("from pyro_events.ident import"), block("identified(Proxy")
        for number, program in enumerate(programs, 1):
            text = program.replace("PYRO:Pyro.EventService@192.168.1.5:9099", es.uri)
            imports, _, call = text.replace("/home/me/es.secret", str(secret)).rpartition("\n\n")
            names = {"Publisher": Publisher}
            exec(imports, names)
            with eval(call.removeprefix("es = "), names) as pub:
                pub.publish("a", 1)
                assert es.statistics()["published"] == number
