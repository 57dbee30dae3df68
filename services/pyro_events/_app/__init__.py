"""The event service as a program: its process, command line and tools."""
