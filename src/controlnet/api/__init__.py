"""The HTTP service: our jobs API, and the dialect that existing clients speak, over one engine."""
