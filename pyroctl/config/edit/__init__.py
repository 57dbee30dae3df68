"""Reading and changing single values, and the schema."""
