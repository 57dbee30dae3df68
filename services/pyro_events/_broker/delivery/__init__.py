"""From a publication to each subscriber's socket."""
