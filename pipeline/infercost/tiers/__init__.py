"""Tiers of a device's memory: which holds what, what traffic takes, and what it wears out."""
