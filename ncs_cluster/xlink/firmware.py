"""Firmware for a stick's boot ROM: Intel's file with two insertions, which every host makes.

The file is "MA2x" followed by commands: 98 stores a byte, ba calls, and the last, a4, starts the loaded code at 0x80d00000. A host
inserts the watchdog switch (a byte at 0x80200000) before the a4, and the memory type (a byte at 0x70200c00, 0: detect) before the
last call of 0x7000e9d0. No byte is overwritten. The file belongs to Intel and is not part of this package. Runs on CPython 3.9.
"""

from __future__ import annotations

import hashlib

from ncs_cluster.errors import ConfigError

SIZE = 2_298_632
SHA256 = "faf33388b88708177a358fcb4704eba04b1cf9e88d6a047f90c833d686140a2e"
"""usb-ma2x8x.mvcmd of OpenVINO 2021.4.2, the last release for these sticks and the only one this protocol was compared with."""
MAGIC = b"MA2x"
START = b"\xa4\x00\x00\xd0\x80\x00\x00\x00"
CALL = b"\xba\xd0\xe9\x00\x70"
STORE_WATCHDOG = b"\x98\x00\x00\x20\x80"
STORE_MEMORY = b"\x98\x00\x0c\x20\x70"
FIND_OUT = b"\0"


def judge(mvcmd: bytes) -> None:
    """Raises ConfigError unless this is the pinned file; the text follows the file's name."""
    if len(mvcmd) != SIZE or hashlib.sha256(mvcmd).hexdigest() != SHA256:
        raise ConfigError("is not the firmware of OpenVINO 2021.4.2; get it with: ncsctl firmware install")


def patch(mvcmd: bytes, watchdog: bool = True) -> bytes:
    """The file with 12 bytes inserted. Raises ConfigError for a file without the places for them."""
    call, end = mvcmd.rfind(CALL), len(mvcmd) - len(START)
    whole = mvcmd.startswith(MAGIC) and mvcmd.endswith(START) and 0 <= call <= end - len(CALL)
    if not whole or mvcmd[end - 6 : end - 1] == STORE_WATCHDOG:
        raise ConfigError("is not a firmware for a Myriad X, or is already patched; get it with: ncsctl firmware install")
    switch = STORE_WATCHDOG + (b"\1" if watchdog else b"\0")
    return b"".join((mvcmd[:call], STORE_MEMORY, FIND_OUT, mvcmd[call:end], switch, START))
