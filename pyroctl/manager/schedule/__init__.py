"""Runs tasks at their times."""
