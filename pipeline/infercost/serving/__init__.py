"""Serving: requests that arrive, wait, share batches and find what earlier ones left."""
