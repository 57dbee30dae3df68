"""How nothing outlives a manager that must not, and what the next one finds."""
