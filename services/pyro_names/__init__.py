"""Pyro5's name server as a well-behaved child of a service manager: `python -m pyro_names`.

The names, the interface and the storage are Pyro5's own, so that every Pyro5 program finds what it
expects. The life cycle differs: it reports that it is ready once it answers, never serves on
another port than requested, stops within a second, and no silent, slow or hostile client blocks
it. `python -m pyro_names.wait NAME` waits until a name is registered and its object answers.
"""
