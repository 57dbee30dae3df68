"""pyroctl: a service manager for Pyro5."""

__version__ = "0.1.0"
