"""The command line: one file for each command, each with one function `register(app)`."""
