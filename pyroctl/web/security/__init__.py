"""Access: pure decisions about requests, and the one place that applies them."""
