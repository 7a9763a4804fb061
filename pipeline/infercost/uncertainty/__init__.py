"""Uncertain inputs: distributions, draws of them, and what draws say of results."""
