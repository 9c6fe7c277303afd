"""puffer-backend-torch."""
