"""Fixtures of the event service's tests. Nothing of a test may be left after it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import codec
from pyro_events._protocol import quick
from tests.events.held_service import HeldService
from tests.events.market_fixtures import MARKET, Market
from tests.events.service_harness import (
    NAME_SERVER,
    STOCK_SUBSCRIBER,
    STRANGER,
    Process,
    Running,
    StockDaemon,
    WireClient,
    nothing_left_behind,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyro_events._broker.engine import Engine


@pytest.fixture(scope="module", params=["ormsgpack", "msgpack"])
def each_codec(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test with ormsgpack and as if it weren't installed; returns which."""
    assert codec.library == "ormsgpack"
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "msgpack":
            patch.setattr(quick, "load", lambda: None)
            patch.setattr(codec._default, "_quick", None)
        yield request.param


@pytest.fixture
def tidy() -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.fixture
def stock(tidy: None) -> Iterator[Callable[..., StockDaemon]]:
    """Makes stock daemons in this process: `stock(server_type, port)`."""
    made: list[StockDaemon] = []

    def make(server_type: str = "thread", port: int = 0) -> StockDaemon:
        made.append(StockDaemon(server_type, port))
        return made[-1]

    yield make
    for daemon in made:
        if daemon.thread.is_alive():
            daemon.close()


@pytest.fixture
def process(tidy: None) -> Iterator[Callable[..., Process]]:
    """Starts Python programs: `process(*arguments, **environment)`."""
    made: list[Process] = []

    def make(*arguments: str, **options: Any) -> Process:
        made.append(Process(*arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def stock_process(process: Callable[..., Process]) -> Callable[..., Process]:
    """Starts processes with a stock subscriber `recorder`; the first line is its URI."""
    return lambda *arguments: process("-c", STOCK_SUBSCRIBER, *arguments)


@pytest.fixture
def name_server(process: Callable[..., Process]) -> str:
    """Return the HOST:PORT of a real name server."""
    return process("-c", NAME_SERVER).first_line.strip()


@pytest.fixture
def market(process: Callable[..., Process]) -> Callable[..., Market]:
    """Starts processes with a market to call: `market(port, name_server)`."""
    return lambda port=0, ns="-": Market(process("-c", MARKET, str(port), ns))


@pytest.fixture
def engine(stock: object, process: object) -> Iterator[Callable[..., Running]]:
    """Starts engines in this process: `engine(**settings)`; they end before the daemons do."""
    made: list[Running] = []

    def make(**settings: Any) -> Running:
        made.append(Running(**settings))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def wire_client(engine: object) -> Iterator[Callable[[Running], WireClient]]:
    """Connects clients on the bare wire, greeted already."""
    made: list[WireClient] = []

    def make(running: Running) -> WireClient:
        made.append(WireClient(running.port))
        made[-1].greet()
        return made[-1]

    yield make
    for each in made:
        each.sock.close()


@pytest.fixture
def held(tidy: None, tmp_path: Path) -> Iterator[Callable[..., HeldService]]:
    """Starts event services with a held socket and a state directory: `held(*arguments)`."""
    made: list[HeldService] = []

    def make(*arguments: str, **options: Any) -> HeldService:
        directory = tmp_path / f"held{len(made)}"
        directory.mkdir()
        made.append(HeldService(directory, *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def client(tidy: None) -> Iterator[Callable[..., WireClient]]:
    """Connects clients on the bare wire to anything with a `uri`; greeted unless `greet=False`."""
    made: list[WireClient] = []

    def connect(es: HeldService | Engine, *, greet: bool = True) -> WireClient:
        made.append(WireClient(int(es.uri.rpartition(":")[2])))
        if greet:
            made[-1].greet()
        return made[-1]

    yield connect
    for each in made:
        each.sock.close()


@pytest.fixture
def stranger(engine: object) -> Iterator[Callable[[str], WireClient]]:
    """Connects clients from another address: `stranger(uri)`."""
    made: list[WireClient] = []

    def connect(uri: str) -> WireClient:
        port = int(uri.rpartition(":")[2])
        sock = socket.create_connection(("127.0.0.1", port), 10, (STRANGER, 0))
        made.append(WireClient(port, sock))
        made[-1].greet()
        return made[-1]

    yield connect
    for each in made:
        each.sock.close()
