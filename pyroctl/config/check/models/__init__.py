"""What may stand in the configuration: one model for each table, one for each kind of service.

The keys, and their defaults, are those that the core values declare. What is written here is what
a file has and a core value has not, and what must hold between the keys of one table.
"""
