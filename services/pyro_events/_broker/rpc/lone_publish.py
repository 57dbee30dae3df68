"""The short way of a helper's publish of one event: of each that is acknowledged before the next.

Whatever is unusual about one is left to the general way, before anything has changed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgpack

from pyro_events._broker.delivery.items import ITEM_OVERHEAD
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing

if TYPE_CHECKING:
    from pyro_events._broker.broker import Broker
    from pyro_events._broker.rpc.session import Session
    from pyro_events._protocol.event import Item
    from pyro_wire.framing import Frame

_CALL: Final = b"\x94" + msgpack.packb(EVENTSERVICE_NAME) + msgpack.packb("publish_batch")
"""How the call begins in msgpack; its arguments and keyword arguments follow."""


def publish(session: Session, broker: Broker, frame: Frame) -> bool:
    """Publish the event of a request and answer; False if the request is not of that kind."""
    data = frame.data
    if frame.flags or len(data) > framing.SMALL or not data.startswith(_CALL):
        return False
    try:
        _, _, (name, number, ((subjects, body, opaque),)), options = msgpack.unpackb(data)
        (subject,) = subjects
        publisher = session.publishers.known(name)
    except Exception:  # noqa: BLE001 - the general way finds out what is wrong
        return False
    types = (type(subjects), type(subject), type(body), type(opaque), type(number))
    counting = broker.context.inventory.open
    if types != (list, str, bytes, bool, int) or options or publisher is None or counting:
        return False
    found = broker.router.remembered(subject.lower())
    if (
        found is None
        or not publisher.expects(number)
        or not broker.access.may_publish(session.principal, subject)
    ):
        return False
    item: Item = (subject, time.time(), body, opaque)
    size = len(body) + len(subject) + ITEM_OVERHEAD
    for subscriber, copies in found:
        if copies != 1 or not subscriber.has_room(size):
            return False
    publisher.last = number
    promised = broker.counter_file.values
    for subscriber, _ in found:
        promised[subscriber.slot] += 1
        subscriber.put(item, size)
    if broker.context.accepted is not None and found:
        broker.context.accepted.publish(publisher, [((item,), size, found)])
    broker.counters.published += 1
    broker.counters.unmatched += not found
    broker.publishers.keep(publisher)
    broker.context.flush_if_idle()
    broker.flush_roster()
    context = broker.context
    answer = context.encoder.pack((context.identity["incarnation"], number))
    header = framing.encode_header(framing.RESULT, framing.MSGPACK, 0, frame.seq, len(answer))
    session.connection.send(header + answer)
    return True
