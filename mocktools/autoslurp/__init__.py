"""Auto-SLURP: services, data, resolver and comparison."""
