"""Cross-entropy: losses of logits, with norms that are free."""
