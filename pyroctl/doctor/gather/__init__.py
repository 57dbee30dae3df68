"""Finds out the facts: reads files and /proc, asks the manager and the name server."""
