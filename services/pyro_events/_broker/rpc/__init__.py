"""The calls of clients: sessions, requests, and the remote objects."""
