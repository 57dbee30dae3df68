"""What people see of the services while they run: `watch` and `measure` of the control channel."""
