"""Submit tasks, and print the results as they arrive: python programs/submit.py 10 20 30."""

import argparse

from Pyro5.api import Proxy

from pyro_events import Subscriber


class Results(Subscriber):
    def __init__(self):
        super().__init__()
        self.open = {}

    def event(self, event):
        number = int(event.subject.rpartition(".")[2])
        if number in self.open:
            worker, result = event.msg
            print(f"{self.open.pop(number)}! = {result}, says {worker}")
        if not self.open:
            self.abort()


def main():
    parser = argparse.ArgumentParser(description="Compute factorials in the pool.")
    parser.add_argument("number", type=int, nargs="+")
    options = parser.parse_args()
    with Results() as results, Proxy("PYRONAME:pool.tasks") as tasks:
        results.subscribeMatch(r"pool\.done\.")
        results.open = {tasks.submit(number): number for number in options.number}
        results.listen()


if __name__ == "__main__":
    main()
