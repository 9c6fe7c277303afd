"""One run: its directory, the context its trainer is given, the loop around the updates."""
