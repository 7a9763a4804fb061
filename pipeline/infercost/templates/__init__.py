"""Commented options to start from: one YAML per kind, with NAME where its name goes."""
