"""One decorated function per column. A new module here is found without being named anywhere."""
