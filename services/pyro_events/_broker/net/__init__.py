"""Sockets: the event loop, listeners, connections, and connecting out."""
