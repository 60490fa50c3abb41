"""A missing shared library that a Python package loads: its name and its Debian package."""

from __future__ import annotations

import re
from typing import Optional

DEBIAN = {
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libudev.so.1": "libudev1",
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libstdc++.so.6": "libstdc++6",
    "libgomp.so.1": "libgomp1",
}
LOADER = re.compile(r"(lib[^\s:/]+\.so[.\d]*): cannot open shared object file")
"""glibc's error for a library it does not find (dlopen(3))."""


def missing_shared_library(error: ImportError) -> Optional[str]:
    """ "libusb-1.0.so.0 is missing: apt install libusb-1.0-0", or None when the import failed for another reason."""
    found = LOADER.search(str(error))
    if found is None:
        return None
    package = DEBIAN.get(found[1])
    return f"{found[1]} is missing: " + (f"apt install {package}" if package else "install the package that holds it")
