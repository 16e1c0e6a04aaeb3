"""How the embedded base, its judge and its text–colour instruments were made: the project's own commands, from nothing."""
