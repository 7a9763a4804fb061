"""Where the project's own configuration and data lie."""

from __future__ import annotations

import os
from pathlib import Path

from infercost.errors import SpecError

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def _root() -> Path:
    """The checkout, or the installed package, which carries conf and data itself."""
    return _CHECKOUT if (_CHECKOUT / "conf" / "config.yaml").is_file() else _PACKAGE


ROOT = _root()
CONF = ROOT / "conf"


def config_dirs(extra: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """Folders of options in the order of search: the project's, then the user's.

    The user's come from `extra` and from the environment variable INFERCOST_CONFIG_PATH, a list
    with the separator of PATH. Raises `SpecError` for one that is not there.
    """
    listed = os.environ.get("INFERCOST_CONFIG_PATH", "").split(os.pathsep)
    folders = [Path(d).expanduser().absolute() for d in (*extra, *listed) if d]
    for folder in folders:
        if not folder.is_dir():
            raise SpecError(str(folder), "", "is not a folder of options", "Name one that exists")
    return (CONF, *folders)


def option_groups() -> list[str]:
    """Every group of options that there is: the folders of the project's own configuration."""
    return sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())


def data_file(name: str) -> Path:
    """A data file named by an option: absolute, below the current folder, or the project's."""
    given = Path(name).expanduser()
    if given.is_absolute() or given.is_file():
        return given.absolute()
    return ROOT / given


def shown(path: Path) -> str:
    """A path as a user would type it: relative to here or to the checkout where that is shorter."""
    for base in (Path.cwd(), ROOT):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)
