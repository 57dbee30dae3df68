"""The keys that only some kinds of services have; `core.spec` has those of all."""
