"""Let cars pass: every car is an event under a subject such as `cars.red.volvo`.

Needs nothing but Pyro5: an event service is a Pyro object like any other.

    python traffic.py                    # until Ctrl-C
    python traffic.py --count 100 --interval 0
"""

import argparse
import itertools
import random
import signal
import sys
import time

import Pyro5.api
import Pyro5.errors

COLOURS = ["red", "blue", "white", "black", "green"]
BRANDS = ["volvo", "fiat", "skoda", "seat", "tesla"]


def cars():
    """Yield cars without end."""
    while True:
        yield {
            "colour": random.choice(COLOURS),
            "brand": random.choice(BRANDS),
            "speed": random.randint(30, 130),
        }


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end on TERM as on Ctrl-C
    try:
        with Pyro5.api.Proxy(options.es) as event_service:
            for car in itertools.islice(cars(), options.count):
                event_service.publish(f"cars.{car['colour']}.{car['brand']}", car)
                time.sleep(options.interval)
    except KeyboardInterrupt:
        pass
    except Pyro5.errors.PyroError as error:
        sys.exit(f"No event service: {error}")
    print("The road is empty.")


def parse_options():
    parser = argparse.ArgumentParser(description="Let cars pass, as events.")
    parser.add_argument("--es", metavar="URI", default="PYRONAME:Pyro.EventService")
    parser.add_argument("--ns", metavar="HOST:PORT", help="the name server to ask")
    parser.add_argument("--count", type=int, metavar="N", help="end after N cars")
    parser.add_argument("--interval", type=float, default=0.1, metavar="SECONDS")
    options = parser.parse_args()
    if options.ns:
        options.es = f"PYRONAME:Pyro.EventService@{options.ns}"
    return options


if __name__ == "__main__":
    main()
