"""What `controlnet study` does once its options are read."""
