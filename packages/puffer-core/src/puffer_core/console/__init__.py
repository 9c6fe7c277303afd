"""What a terminal shows of a run, or of several seeds, while they train and at the end."""
