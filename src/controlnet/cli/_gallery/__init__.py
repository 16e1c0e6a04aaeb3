"""What `controlnet gallery` is made of: the pictures, their maps, the sheet and the page."""
