"""What `controlnet evaluate` does once its options are read."""
