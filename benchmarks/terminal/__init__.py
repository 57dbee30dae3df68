"""The terminal UI: first frame, memory, and what it costs while nothing happens."""
