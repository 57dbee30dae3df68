"""A simulated thermometer: publishes its measurements until it is stopped."""

import argparse
import random
import time

from pyro_events import Publisher


def main():
    parser = argparse.ArgumentParser(description="Publish temperatures.")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS")
    options = parser.parse_args()
    with Publisher() as publisher:
        print("measuring", flush=True)
        while True:
            publisher.publish("lab.temperature", round(random.gauss(21, 0.1), 2))
            time.sleep(options.every)


if __name__ == "__main__":
    main()
