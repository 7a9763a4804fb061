"""Settings of all tests: no deadlines, and in CI the same examples on every run.

A developer's run draws new examples each time; HYPOTHESIS_PROFILE=thorough draws many.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "developer")
)
