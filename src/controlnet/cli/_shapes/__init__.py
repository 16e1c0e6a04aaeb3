"""The recipe of the embedded world: what its commands do."""
