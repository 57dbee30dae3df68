"""Benchmarks of the manager against its peers."""
