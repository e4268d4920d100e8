"""Whether training reaches the certified optimum: a small encoder on scikit-learn's digits, see `__main__`."""
