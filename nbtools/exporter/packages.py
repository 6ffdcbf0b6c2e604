"""Which installed package a module comes from, read from the folders of `sys.path`.

`importlib.metadata` knows the same, and loads the email package for it, which takes longer than
a whole small export.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Installed", "Package", "canonical"]

_SUFFIX = ".dist-info"
# Where to look first for what is called otherwise; what is found there is checked.
_USUAL_NAMES = {
    "PIL": "pillow", "bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml",
}  # fmt: skip


def canonical(name: str) -> str:
    """Return the one spelling of a package's name by which two are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Package(NamedTuple):
    """An installed package: the folder that it is installed in, and the one about it."""

    site: str
    info: str

    @property
    def name(self) -> str:
        """Its name as its author writes it."""
        return self._stated("Name")

    @property
    def version(self) -> str:
        """Its version."""
        return self._stated("Version")

    @property
    def is_from_folder(self) -> bool:
        """Whether it is installed from a folder of this machine."""
        return '"dir_info"' in self.read("direct_url.json")

    def read(self, name: str) -> str:
        """Return a file about it; an empty text when there is none."""
        try:
            with open(f"{self.info}/{name}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 hundreds are read
                return file.read()
        except OSError:
            return ""

    def holds(self, module: str) -> bool:
        """Tell whether a module, in full, is among its files."""
        path = module.replace(".", "/")
        places = (f"{self.site}/{path}/__init__.py", f"{self.site}/{path}.py")
        return any(os.path.isfile(place) for place in places)  # noqa: PTH113 as above

    def _stated(self, field: str) -> str:
        found = re.search(rf"^{field}: *(.+?) *$", self.read("METADATA"), re.MULTILINE)
        return found[1] if found else ""


class Installed:
    """The packages that are installed here, as they are when they are first asked for."""

    def __init__(self) -> None:
        self._packages = dict(_packages())
        self._sharing: dict[str, list[Package]] = {}

    def named(self, name: str) -> Package | None:
        """Return the package of a name."""
        return self._packages.get(canonical(name))

    def holder_of(self, module: str) -> Package | None:
        """Return the package that a module comes from."""
        top = module.partition(".")[0]
        for guess in (top, _USUAL_NAMES.get(top, "")):
            package = self.named(guess)
            if package and package.holds(top):
                return package
        if top not in self._sharing:
            self._sharing[top] = [each for each in self._packages.values() if _lists(each, top)]
        return _closest(self._sharing[top], module)


def _packages() -> Iterator[tuple[str, Package]]:
    """Yield canonical names and packages; the first on the path comes last, and so wins."""
    for site in reversed([*dict.fromkeys(sys.path)]):
        try:
            names = os.listdir(site or ".")  # noqa: PTH208 names are what is wanted
        except OSError:  # a zip file, or a folder that is not there
            continue
        for name in sorted(names):
            if name.endswith(_SUFFIX):
                package = Package(site, f"{site}/{name}")
                yield canonical(name.removesuffix(_SUFFIX).rpartition("-")[0]), package


def _lists(package: Package, top: str) -> bool:
    """Tell whether a package lists files of a module, in whatever form."""
    own = rf"^{re.escape(top)}(?:/|\.py,|\.[^,/]*\.(?:so|pyd),)"
    return re.search(own, package.read("RECORD"), re.MULTILINE) is not None


def _closest(sharing: list[Package], module: str) -> Package | None:
    """Return the one of several packages of one namespace that holds the module, or most of it."""
    path = module.replace(".", "/")
    while len(sharing) > 1 and path:
        for package in sharing:
            record = package.read("RECORD")
            if f"{path}/" in record or f"{path}.py," in record:
                return package
        path = path.rpartition("/")[0]
    return sharing[0] if sharing else None
