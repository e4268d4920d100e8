"""Pictures. matplotlib is imported inside, and only its objects are used: no pyplot, no global state."""
