"""Services that outlive the manager: the descriptor store and reattaching."""
