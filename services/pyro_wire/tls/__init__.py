"""TLS without a loop of its own, for every service and helper.

`certificate` reads what a certificate says, `errors` puts into sentences why a connection can't be
made, `clients` knows who is let in, and `session` is a connection as bytes in and bytes out: they
do no I/O. `files` makes contexts of files, `reload` does so again when these are replaced. `door`
begins TLS in a daemon of Pyro5, and `pinned` in a client.
"""
