"""The broker's state as values: formats, descriptors, counters on disk."""
