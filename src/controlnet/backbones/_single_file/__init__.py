"""A whole base in one file, in the layout of the original code (Stable Diffusion 1.x, 2.x and XL)."""
