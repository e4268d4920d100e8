"""Newton's method on the slack matrix's factor, and what it needs at ties, kinks and large sizes."""
