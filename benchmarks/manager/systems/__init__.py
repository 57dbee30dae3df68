"""The managers that are compared, each with its own way to be told the same."""
