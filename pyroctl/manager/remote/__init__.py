"""The listener for other hosts: who may connect, what they may ask, and the certificates."""
