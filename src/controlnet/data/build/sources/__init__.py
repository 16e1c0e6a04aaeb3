"""Where pictures come from: a folder, one of our data sets, shards, the rows of a `datasets` data set."""
