"""Kinds of mitigation, one module each: a spec, and what it changes of a case."""
