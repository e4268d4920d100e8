"""Where classes collapse: critical imbalance, temperature and number of negatives, and phase diagrams."""
