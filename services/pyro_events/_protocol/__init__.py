"""What clients and the event service agree on. Pure: no I/O, no clock."""
