"""What makes a program a well-behaved child of the manager. Nothing here imports Pyro5."""
