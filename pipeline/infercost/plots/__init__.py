"""Figures by name: one module with one decorated function each (see `infercost.plots.base`)."""
