"""The event service's engine: one selector loop, one thread, nothing in it ever waits.

Read in this order: `hub` (who gets an event), `publication` (how one publish reaches them),
`stream` and `callback` (the two ways of delivery), `session` (a client's connection), `remote`
(what a client may call), `loop` and `connection` (the machinery below), `engine` (the assembly).
"""
