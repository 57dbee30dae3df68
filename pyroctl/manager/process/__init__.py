"""One process of a service: born, heard, and watched until nothing of it is left."""
