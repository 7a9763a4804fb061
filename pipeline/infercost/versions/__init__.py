"""Versions of datasets: digests, differences, exports, and rows computed again."""
