"""Where a figure of money, carbon or energy comes from: a tree down to its inputs."""
