"""Examples are tested where they are installed: `tests/test_example_plugin.py` does both, outside the checkout."""

collect_ignore_glob = ["*"]
