"""Conditions of the embedded world, read by its judge; found by the registry as any other."""
