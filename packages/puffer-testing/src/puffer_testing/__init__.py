"""puffer-testing."""
