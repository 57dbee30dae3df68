"""The output of services, on its way into their logs."""
