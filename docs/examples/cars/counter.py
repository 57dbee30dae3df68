"""Count passing cars of some colours and brands, until there are enough of each.

Needs nothing but Pyro5: the counter is a Pyro object in a daemon of its own, and the event service
calls its method `event`. It doesn't know the class `Event`, so it asks for dictionaries.

    python counter.py                    # 10 red ones, 10 blue ones, 10 Volvos
    python counter.py --count 3 --colour green --brand fiat --brand seat
"""

import argparse
import signal
import sys

import Pyro5.api
import Pyro5.errors


@Pyro5.api.expose
class CarCounter:
    """Subscribes to a pattern for each kind of car, until it has seen enough of that kind."""

    def __init__(self, es, enough, colours, brands):
        self.es = es
        self.enough = enough
        self.patterns = {colour: rf"cars\.{colour}\." for colour in colours}
        self.patterns |= {brand: rf"cars\.\w+\.{brand}$" for brand in brands}
        self.seen = dict.fromkeys(self.patterns, 0)

    def event(self, event):
        """Look at a car; the event service calls this, one car after the other."""
        car = event["msg"]
        for kind in (car["colour"], car["brand"]):
            if kind in self.patterns:
                self.count(kind)

    def count(self, kind):
        self.seen[kind] += 1
        print(f"{kind}: {self.seen[kind]}", flush=True)
        if self.seen[kind] == self.enough:
            with Pyro5.api.Proxy(self.es) as event_service:  # a proxy belongs to one thread
                event_service.unsubscribe(self.patterns.pop(kind), self)
            print(f"{self.enough} times {kind}, that is enough.", flush=True)

    def subscribe(self):
        with Pyro5.api.Proxy(self.es) as event_service:
            # A red Volvo matches twice; once=True sends it once.
            event_service.subscribeMatch(
                list(self.patterns.values()), self, as_dict=True, once=True
            )

    def unsubscribe(self):
        if self.patterns:
            with Pyro5.api.Proxy(self.es) as event_service:
                event_service.unsubscribe(list(self.patterns.values()), self)


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end on TERM as on Ctrl-C
    Pyro5.config.POLLTIMEOUT = 0.2  # seconds until the request loop looks at its condition
    counter = CarCounter(options.es, options.count, options.colour, options.brand)
    try:
        with Pyro5.api.Daemon() as daemon:
            daemon.register(counter)
            counter.subscribe()
            print("Counting.", flush=True)
            daemon.requestLoop(lambda: bool(counter.patterns))
            counter.unsubscribe()
    except KeyboardInterrupt:
        pass  # it came before the first car was counted, or after the last
    except Pyro5.errors.PyroError as error:
        sys.exit(f"No event service: {error}")
    print(", ".join(f"{count} {kind}" for kind, count in counter.seen.items()))


def parse_options():
    parser = argparse.ArgumentParser(description="Count passing cars.")
    parser.add_argument("--es", metavar="URI", default="PYRONAME:Pyro.EventService")
    parser.add_argument("--ns", metavar="HOST:PORT", help="the name server to ask")
    parser.add_argument("--count", type=int, default=10, metavar="N", help="enough of each kind")
    parser.add_argument("--colour", action="append", metavar="COLOUR", help="may be repeated")
    parser.add_argument("--brand", action="append", metavar="BRAND", help="may be repeated")
    options = parser.parse_args()
    if options.ns:
        options.es = f"PYRONAME:Pyro.EventService@{options.ns}"
    if not options.colour and not options.brand:
        options.colour, options.brand = ["red", "blue"], ["volvo"]
    options.colour = options.colour or []
    options.brand = options.brand or []
    return options


if __name__ == "__main__":
    main()
