"""Where a manifest stands in each kind of file, and what binds it to the rest of it."""
