"""`pyroctl top`: the terminal UI. It talks to the manager by its socket only."""
