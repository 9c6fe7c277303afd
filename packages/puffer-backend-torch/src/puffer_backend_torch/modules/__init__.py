"""Policies that are a `torch.nn.Module` of the user's own."""
