"""Losses of several kinds of atoms in a class: instances, prototypes, classifier weights."""
