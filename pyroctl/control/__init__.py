"""The control channel between the command line and the manager of a deployment."""
