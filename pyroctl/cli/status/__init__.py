"""The status table, its details and `--watch`."""
