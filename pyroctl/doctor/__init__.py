"""Finds what is wrong with a deployment or will be: facts are gathered, and pure checks judge them.

It only reads, and works without a manager and without a valid configuration. `facts` is what is
known, `gather` finds it out, `checks` has the judgements, `report` words them.
"""
