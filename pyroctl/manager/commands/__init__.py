"""What the control channel asks for."""
