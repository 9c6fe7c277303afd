"""puffer-env-native."""
