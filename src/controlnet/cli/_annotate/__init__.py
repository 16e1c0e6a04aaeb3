"""Parts of `controlnet annotate`: where maps go, many pictures at once, the list of conditions."""
