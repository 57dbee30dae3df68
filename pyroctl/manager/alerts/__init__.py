"""Runs programs for, and publishes, the changes of state that people want to hear of."""
