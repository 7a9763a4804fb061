"""Steps of the workflow: each takes files and leaves files, whole or not at all."""
