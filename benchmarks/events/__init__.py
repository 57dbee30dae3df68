"""The event service against what a Python program could use instead; see README.md here."""
