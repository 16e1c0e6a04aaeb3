"""How the embedded base and its judge were made: the project's own commands, from nothing."""
