"""What clients and the event service share. Pure: no I/O, no clock."""
