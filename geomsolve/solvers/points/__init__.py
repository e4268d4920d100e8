"""Points in a given number of dimensions."""
