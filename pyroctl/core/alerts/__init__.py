"""Which changes of state people want to hear of, and how often. Pure."""
