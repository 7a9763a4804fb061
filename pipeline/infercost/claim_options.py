"""Claims as options: read and checked, by name or by the study that decides them."""

from __future__ import annotations

import hashlib

from infercost.errors import SpecError, nearest
from infercost.options.faults import checked, file_fault
from infercost.options.places import place_of
from infercost.options.question import option_names
from infercost.options.resolve import content_of
from infercost.paths import config_dirs
from infercost.specs.claim import Claim

GROUP = "claim"


def load_claim(name: str, dirs: tuple[str, ...] = ()) -> Claim:
    """A claim by name, checked. Raises `SpecError`."""
    folders = config_dirs(dirs)
    known = option_names(folders, GROUP)
    if name not in known:
        raise SpecError(GROUP, name, "there is no such claim", nearest(name, known))
    content = content_of(folders, GROUP, name)
    if content is None:
        fault = file_fault(folders, GROUP, name)
        raise fault or SpecError(f"{GROUP}/{name}", "", "cannot be read", "Write plain YAML")
    claim: Claim
    claim, faults = checked(GROUP, content)
    for key, fault_text, remedy in faults:
        raise SpecError(*place_of(folders, GROUP, name, key), fault_text, remedy)
    return claim


def claims_of(study: str, dirs: tuple[str, ...] = ()) -> dict[str, Claim]:
    """The claims that a study decides, by name."""
    folders = config_dirs(dirs)
    names = option_names(folders, GROUP)
    named = {
        name for name in names if (content_of(folders, GROUP, name) or {}).get("study") == study
    }
    return {name: load_claim(name, dirs) for name in names if name in named}


def digest_of(study: str, dirs: tuple[str, ...] = ()) -> str:
    """Digest of the claims that a study decides: whether its report has to be written again."""
    told = "".join(f"{name}{claim!r}" for name, claim in claims_of(study, dirs).items())
    return hashlib.sha256(told.encode()).hexdigest()
