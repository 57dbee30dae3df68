"""Remembers a configuration that was checked, so that the next start need not check it again.

The memory is the answer of the last check, no second definition of what is valid: it counts only
while everything that decided that answer is as it was.
"""
