"""Published measurements: read, predicted, and examined."""
