"""Losses of class means."""
