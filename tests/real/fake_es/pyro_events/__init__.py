"""Stands in for the event service: speaks its manager's protocol, and stops where a test wants."""
