"""Pyro5's wire protocol, without Pyro5's proxies and daemons."""
