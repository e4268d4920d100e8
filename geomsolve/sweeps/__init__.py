"""Grids of problems, solved on any executor into a journal that survives a kill."""
