"""What is happening now: the manager's news, and streams of it for browsers."""
