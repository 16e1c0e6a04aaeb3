"""The demo: a ControlNet trained from nothing on the embedded base, watched, measured and compared."""
