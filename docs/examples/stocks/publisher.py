"""Publish invented stock quotes, each under its own subject, such as `stockquote.SUN`.

python publisher.py                  # until Ctrl-C
python publisher.py --count 10
"""

import argparse
import itertools
import random
import signal
import sys
import time

from pyro_events import Publisher
from pyro_events.errors import EventServiceError

OPENING_PRICES = {"AMD": 98.20, "IBM": 143.05, "SAP": 121.70, "SUN": 22.44, "SONY": 87.95}


def quotes():
    """Yield (symbol, price) without end: a random walk of every stock."""
    prices = dict(OPENING_PRICES)
    while True:
        symbol = random.choice(list(prices))
        prices[symbol] = round(prices[symbol] * random.uniform(0.99, 1.01), 2)
        yield symbol, prices[symbol]


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end on TERM as on Ctrl-C
    try:
        with Publisher(options.es) as publisher:
            for symbol, price in itertools.islice(quotes(), options.count):
                publisher.post(f"stockquote.{symbol}", (symbol, price))
                print(f"{symbol:5} {price:8.2f}", flush=True)
                time.sleep(options.interval)
    except KeyboardInterrupt:
        print("The exchange is closed.")
    except EventServiceError as error:
        sys.exit(f"No event service: {error}")


def parse_options():
    parser = argparse.ArgumentParser(description="Publish invented stock quotes.")
    parser.add_argument(
        "--es", metavar="URI", help="the event service (default: ask a name server)"
    )
    parser.add_argument("--ns", metavar="HOST:PORT", help="the name server to ask")
    parser.add_argument("--count", type=int, metavar="N", help="end after N quotes")
    parser.add_argument("--interval", type=float, default=0.5, metavar="SECONDS")
    options = parser.parse_args()
    if options.ns:
        options.es = f"PYRONAME:Pyro.EventService@{options.ns}"
    return options


if __name__ == "__main__":
    main()
