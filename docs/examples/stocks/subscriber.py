"""Print stock quotes: one stock by its exact subject, and those whose names match a pattern.

python subscriber.py                 # IBM, and everything that begins with S; until Ctrl-C
python subscriber.py --stock SUN --match 'A.*' --count 5
"""

import argparse
import signal
import sys

from pyro_events import Subscriber
from pyro_events.errors import EventServiceError


class Quotes(Subscriber):
    """Prints every quote, and its difference to the previous one."""

    def __init__(self, es, count):
        super().__init__(es, name="stock ticker")
        self.left = count
        self.last = {}

    def event(self, event):
        symbol, price = event.msg
        change = price - self.last.get(symbol, price)
        self.last[symbol] = price
        print(f"{symbol:5} {price:8.2f} {change:+6.2f}", flush=True)
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.abort()

    def connected(self, notice):
        print(f"Connected to {notice['uri']}.", flush=True)

    def disconnected(self, notice):
        print(f"Lost the event service ({notice['reason']}), waiting for it.", flush=True)

    def gap(self, notice):
        print(f"Missed {notice['missed'] or 'some'} quotes ({notice['reason']}).", flush=True)


def main():
    options = parse_options()
    try:
        with Quotes(options.es, options.count) as quotes:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: quotes.abort())
            quotes.subscribe(f"stockquote.{options.stock}")
            quotes.subscribeMatch(rf"stockquote\.{options.match}")
            quotes.listen()
        print("Goodbye.")
    except EventServiceError as error:
        sys.exit(f"No event service: {error}")


def parse_options():
    parser = argparse.ArgumentParser(description="Print stock quotes as they come.")
    parser.add_argument(
        "--es", metavar="URI", help="the event service (default: ask a name server)"
    )
    parser.add_argument("--ns", metavar="HOST:PORT", help="the name server to ask")
    parser.add_argument("--stock", default="IBM", help="one stock (default: %(default)s)")
    parser.add_argument("--match", default="S.*", help="a pattern of others (default: %(default)s)")
    parser.add_argument("--count", type=int, metavar="N", help="end after N quotes")
    options = parser.parse_args()
    if options.ns:
        options.es = f"PYRONAME:Pyro.EventService@{options.ns}"
    return options


if __name__ == "__main__":
    main()
