"""Measurements: each file is one question, asked by `python -m benchmarks NAME` or by its own command."""
