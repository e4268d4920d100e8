"""Newton's method on unit vectors."""
