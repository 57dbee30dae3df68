"""When tasks run: times of the calendar, and what is due. Pure."""
