"""The services of one deployment and what belongs to each."""
