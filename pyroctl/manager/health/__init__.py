"""Whether a running service is alive, and what it takes."""
