"""Pyro5's name server as a well-behaved child of a service manager: `python -m pyro_names`.

The names, the interface and the storage are Pyro5's own, so that every Pyro5 program finds what it
expects. What is different is how it lives: it says that it is ready when it answers, never serves
on another port than asked, leaves within a second, and is not stopped by a client that is silent,
slow or spiteful. `python -m pyro_names.wait NAME` waits until a name is registered and answers.
"""
