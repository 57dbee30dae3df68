"""What services say, on its way into their logs."""
