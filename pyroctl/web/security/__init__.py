"""Who may do what: pure decisions, and the one place that applies them."""
