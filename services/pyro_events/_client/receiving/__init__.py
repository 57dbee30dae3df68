"""How events arrive in a subscriber's program."""
