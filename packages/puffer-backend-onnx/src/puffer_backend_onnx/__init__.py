"""puffer-backend-onnx: policies as ONNX graphs, and ONNX Runtime to run them."""
