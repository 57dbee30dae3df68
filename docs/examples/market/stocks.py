"""A stock market that trades by remote calls and publishes its prices as events.

Nothing in it is specific to pyroctl: any Pyro class will do.
"""

import atexit
import threading

from Pyro5.api import behavior, expose

from pyro_events import Publisher


@expose
@behavior(instance_mode="single")
class Market:
    """Moves the price with every trade, and publishes it to all subscribers."""

    def __init__(self):
        self._prices = {"IBM": 143.05, "SAP": 121.70, "SUN": 22.44}
        self._lock = threading.Lock()
        self._publisher = Publisher()
        atexit.register(self._publisher.close)

    def prices(self):
        return dict(self._prices)

    def buy(self, symbol, amount):
        with self._lock:
            price = round(self._prices[symbol] * (1 + amount / 1000), 2)
            self._prices[symbol] = price
            self._publisher.publish(f"stockquote.{symbol}", (symbol, price))
        print(f"{amount} × {symbol}, now at {price}")
        return price
