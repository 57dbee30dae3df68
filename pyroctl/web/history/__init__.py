"""Numbers of the past, in files of fixed size."""
