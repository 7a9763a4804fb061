"""Pure functions of arrays: the physics, without specs. Every argument broadcasts."""
