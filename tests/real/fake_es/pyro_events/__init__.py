"""A fake event service: speaks the manager's protocol, and pauses where a test wants."""
