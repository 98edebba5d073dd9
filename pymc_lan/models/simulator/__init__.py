"""Models that are known by a function that draws trials."""
