"""What passes through the event service, in numbers."""
