"""The command line: `main` reads the command, one module each runs it, imported when it is asked for."""
