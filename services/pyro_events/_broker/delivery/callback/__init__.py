"""Delivery by calling the subscriber's own Pyro daemon."""
