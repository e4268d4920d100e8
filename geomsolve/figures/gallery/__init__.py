"""The figures of the theory, each from its own certified data."""
