"""Settings of all tests: no deadlines, and the same examples on every run.

`make fuzz` draws many new examples (HYPOTHESIS_PROFILE=fuzz), so that what it finds is
found there and not in a run that checks something else.
"""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.pop("COLUMNS", None)
"""pytest-xdist sets it for its workers; without it tables in a pipe are as wide as they need."""

settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
