"""puffer-policies."""
