"""Reads the log files of services, which need no manager: in order of time, newest or as they grow."""
