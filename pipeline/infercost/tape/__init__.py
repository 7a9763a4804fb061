"""Arrays that are computed later, a piece of the grid at a time, with NumPy's bits."""
