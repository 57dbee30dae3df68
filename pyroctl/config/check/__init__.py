"""From a document to core values, or to all its diagnostics."""
