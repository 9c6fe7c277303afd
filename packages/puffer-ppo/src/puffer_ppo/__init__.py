"""puffer-ppo."""
