"""puffer-backend-jax: JAX as an engine of Puffer."""
