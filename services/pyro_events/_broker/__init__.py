"""The event service's broker: one selector loop, one thread, nothing in it ever waits.

Read in this order: `broker` (who gets an event), `delivery` (how one publication reaches them, over
streams and callbacks), `rpc` (clients' sessions and what they may call), `net` (the machinery
below), `snapshot` and `recovery` (what survives a process), `engine` (the assembly).
"""
