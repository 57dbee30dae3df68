"""Reads the log files of services, in order of time; it needs no manager."""
