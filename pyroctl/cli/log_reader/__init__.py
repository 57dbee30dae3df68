"""Reading the log files, with or without a manager."""
