"""From the tree to a typed one, or to every mistake that is in it."""
