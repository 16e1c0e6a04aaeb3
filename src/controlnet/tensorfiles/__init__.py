"""Weight files: tensors by name, seen without being loaded, and matched strictly with what wants them."""
