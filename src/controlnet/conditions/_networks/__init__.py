"""Networks of the learned detectors, and how they are loaded; torch is imported here and nowhere above."""
