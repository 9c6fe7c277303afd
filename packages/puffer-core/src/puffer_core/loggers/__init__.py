"""Where metrics go: `metrics.jsonl`, which every run writes, and loggers that cannot hurt the run."""
