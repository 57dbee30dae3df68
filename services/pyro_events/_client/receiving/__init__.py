"""How events reach a subscriber's program."""
