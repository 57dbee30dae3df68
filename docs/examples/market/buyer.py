"""Buy stocks by a remote call, and print the resulting price.

python buyer.py SUN 10
"""

import argparse

from Pyro5.api import Proxy


def main():
    parser = argparse.ArgumentParser(description="Buy stocks.")
    parser.add_argument("symbol", help="such as SUN")
    parser.add_argument("amount", type=int)
    options = parser.parse_args()
    with Proxy("PYRONAME:stocks.market") as market:
        print(options.symbol, market.buy(options.symbol, options.amount))


if __name__ == "__main__":
    main()
