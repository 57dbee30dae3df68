"""Placeholders in the texts of a configuration: what they are, where they stand, what they mean."""
