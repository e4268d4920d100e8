"""The figures of the theory, each drawn from certified data: `geomsolve figures`."""
