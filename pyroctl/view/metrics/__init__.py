"""Measurements as metrics for Prometheus: `catalogue` has what there is, `text` the format."""
