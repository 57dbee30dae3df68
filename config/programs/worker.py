"""Work on one task after the other."""

import math
import os

from Pyro5.api import Proxy

from pyro_events import Publisher


def main():
    me = os.environ["PYROCTL_SERVICE"]
    with Proxy("PYRONAME:pool.tasks") as tasks, Publisher() as publisher:
        print("waiting for tasks", flush=True)
        while True:
            task = tasks.take()
            if task is not None:
                number, argument = task
                publisher.publish(f"pool.done.{number}", (me, math.factorial(argument)))
                tasks.done(number)
                print(f"task {number}: {argument}", flush=True)


if __name__ == "__main__":
    main()
