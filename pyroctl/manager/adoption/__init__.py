"""How services outlive their manager, and the next one goes on with them."""
