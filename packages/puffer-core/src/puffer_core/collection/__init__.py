"""Collection: a policy acts in an env, on the host or on the device, and leaves a rollout in its slots."""
