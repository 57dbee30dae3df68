"""Lives of the clients that come and go: generators of the seconds until they go on."""

from __future__ import annotations

import heapq
import itertools
import signal
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from Pyro5.serializers import serializers

from benchmarks.events.soak import actors
from benchmarks.events.soak.clients import RECEIVERS, SENDERS
from benchmarks.events.soak.company import Actor, ActorFailed
from pyro_events import EVENTSERVICE_NAME
from pyro_events._client.calls import encode_call
from pyro_wire import framing

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.events.soak.clients import Door

_POLICIES = ("drop-oldest", "drop-newest", "disconnect")
_RST = struct.pack("ii", 1, 0)
"""SO_LINGER: closing cuts the connection."""


@dataclass
class Scene:
    """Where lives take place, and what is counted of them."""

    doors: Sequence[Door]
    """One of them is chosen for each life; half of them are the first."""
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    cpu: float = 0.0
    """Seconds of processor time used by clients that have gone."""

    def door(self) -> Door:
        """Return where a client is to go."""
        return self.doors[0] if self.chance.random() < 0.5 else self.chance.choice(self.doors[1:])


class Stage:
    """Plays lives when they are due. Belongs to one thread."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Iterator[float]]] = []
        self._numbers = itertools.count()

    def enter(self, life: Iterator[float], when: float) -> None:
        """Begin a life at that time."""
        heapq.heappush(self._due, (when, next(self._numbers), life))

    def next_due(self) -> float:
        """Return when the next life is due; infinity if there is none."""
        return self._due[0][0] if self._due else float("inf")

    def play(self, clock: Callable[[], float]) -> None:
        """Play the most urgent one up to its next pause, if it is due."""
        if self.next_due() <= clock():
            _, _, life = heapq.heappop(self._due)
            pause = next(life, None)
            if pause is not None:
                self.enter(life, clock() + pause)

    def clear(self) -> None:
        """End all lives, as abruptly as they end when killed."""
        lives, self._due = self._due, []
        for _, _, life in lives:
            life.close()  # type: ignore[attr-defined] # they are generators


def again_and_again(scene: Scene, life: Callable[[Scene], Iterator[float]]) -> Iterator[float]:
    """Live one life after the other; what goes wrong is noted."""
    while True:
        try:
            yield from life(scene)
        except (ActorFailed, OSError) as error:
            scene.troubles.append(f"{life.__name__}: {error}")
        yield scene.chance.uniform(0.1, 1.0)


def visit(scene: Scene) -> Iterator[float]:
    """Live as a subscriber that stays for a while, perhaps stalls, and leaves or dies."""
    chance = scene.chance
    kind = chance.choice(RECEIVERS)
    options = {"when_full": chance.choice(_POLICIES), "queue_size": chance.choice([20, 1000])}
    seed = chance.randrange(1 << 30)
    actor = Actor(actors.visitor, scene.door(), kind, seed, options)
    yield from _live(scene, actor, f"{kind} subscriber", str(options))


def talk(scene: Scene) -> Iterator[float]:
    """Live as a publisher that does."""
    chance = scene.chance
    kind = chance.choice(SENDERS)
    actor = Actor(actors.talker, scene.door(), kind, chance.randrange(1 << 30), 4.0)
    yield from _live(scene, actor, f"{kind} publisher", "")


def _live(scene: Scene, actor: Actor, what: str, more: str) -> Iterator[float]:
    chance = scene.chance
    so_far = "came"
    try:
        actor.expect(actors.READY)
        scene.counts[f"{what}s that came"] += 1
        yield min(chance.expovariate(1 / 5) + 0.3, 30.0)
        if chance.random() < 0.3:
            actor.signal(signal.SIGSTOP)
            scene.counts["stalled"] += 1
            yield chance.uniform(0.3, 8.0)
            if chance.random() < 0.3:
                scene.counts["killed while stalled"] += 1
                return
            actor.signal(signal.SIGCONT)
            so_far = "came, stalled"
            yield chance.uniform(0.1, 2.0)
        if chance.random() < 0.4:
            scene.counts["killed"] += 1
            return
        actor.leave()
        scene.counts["left in order"] += 1
    except ActorFailed as error:
        raise ActorFailed(f"{what} {more} {so_far}: {error}") from None
    finally:
        actor.end()
        scene.cpu += actor.cpu


def disturb(scene: Scene) -> Iterator[float]:
    """Connect and send something strange, or half of something good, and cut the connection."""
    chance = scene.chance
    what = chance.choice(list(_STRANGE))
    with socket.create_connection(("127.0.0.1", scene.door().port), 5.0) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        scene.counts[f"connections with {what}"] += 1
        sock.sendall(_STRANGE[what](chance))
        yield chance.uniform(0.0, 8.0)
    yield chance.uniform(0.5, 3.0)


def _hello() -> bytes:
    greeting = {"pyro_events": 2, "role": "subscriber"}
    hello = serializers["msgpack"].dumps({"handshake": greeting, "object": EVENTSERVICE_NAME})
    return framing.encode_frame(framing.CONNECT, framing.MSGPACK, 0, 0, hello)


def _call(method: str, *params: object) -> bytes:
    return encode_call(1, EVENTSERVICE_NAME, method, list(params))


def _half_publish(chance: random.Random) -> bytes:
    batch = [[[f"{actors.NOISE}.1"], b"\xa5hello", False] for _ in range(50)]
    frame = _call("publish_batch", f"cut{chance.random()}", 1, batch)
    return _hello() + frame[: chance.randrange(1, len(frame))]


def _half_ack(chance: random.Random) -> bytes:
    attach = _call("attach", f"cut{chance.random()}", [f"{actors.NOISE}.1"], [], {})
    ack = framing.encode_frame(framing.RESULT, framing.MSGPACK, 0, 0, (1).to_bytes(8, "big"))
    return _hello() + attach + ack[: chance.randrange(1, len(ack))]


_STRANGE: dict[str, Callable[[random.Random], bytes]] = {
    "nothing": lambda _chance: b"",
    "random bytes": lambda chance: chance.randbytes(chance.randrange(1, 5000)),
    "a request for a web page": lambda _chance: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half a header": lambda chance: _hello()[: chance.randrange(1, 40)],
    "a huge announcement": lambda _chance: _hello()[:12] + b"\x7f\xff\xff\xff" + _hello()[16:],
    "a call before the handshake": lambda _chance: _call("statistics"),
    "a bad call": lambda _chance: _hello() + _call("publish", [7], None),
    "half a publish": _half_publish,
    "half an acknowledgement": _half_ack,
}
