"""puffer-backend-torch: PyTorch as an engine of Puffer."""
