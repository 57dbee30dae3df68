"""Reading log files, with or without a manager."""
