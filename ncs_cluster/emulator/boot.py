"""The boot ROM: takes firmware, and finds its end.

A firmware file for the Myriad X is "MA2x" followed by commands, of which three are known: 98 stores a byte, ba calls, and a4, the
file's last eight bytes, starts what was loaded. A host adds two stores before it sends the file (the same two as the vendor's
plugin): the watchdog's switch before that last command, and the type of memory before the last call of 0x7000e9d0.
"""

from __future__ import annotations

import random

MAGIC = b"MA2x"
CALL = b"\xba\xd0\xe9\x00\x70"
START = b"\xa4\x00\x00\xd0\x80\x00\x00\x00"
"""Execute at 0x80d00000. A host searches the last a4 from the end."""
WATCHDOG = b"\x98\x00\x00\x20\x80"
"""Store one byte at 0x80200000: 1 watchdog on, 0 off."""
MEMORY = b"\x98\x00\x0c\x20\x70"
"""Store one byte at 0x70200c00: 0 detects the memory type."""


def artificial_firmware(size: int = 2_298_632, seed: int = 1) -> bytes:
    """A file of random bytes with the vendor's size and both insertion marks, unpatched, for tests without the real one."""
    noise = random.Random(seed).randbytes(max(0, size - len(MAGIC + CALL + START)))
    noise = noise.replace(CALL, bytes(5)).replace(WATCHDOG, bytes(5))
    place = min(len(noise), 124_804)
    return MAGIC + noise[:place] + CALL + noise[place:] + START


class BootStream:
    """Takes firmware in pieces and reports when the ROM would start it."""

    def __init__(self, any_firmware: bool = False) -> None:
        self._bytes = bytearray()
        self._any = any_firmware

    def __len__(self) -> int:
        return len(self._bytes)

    def feed(self, data: bytes) -> bool:
        """True when the firmware is complete."""
        self._bytes += data
        if self._any:
            return self._bytes.endswith((START, START[:1]))
        return self._bytes[-14:-9] == WATCHDOG and self._bytes.endswith(START)

    @property
    def watchdog(self) -> bool:
        return self._bytes[-14:-9] != WATCHDOG or self._bytes[-9] != 0

    def fault(self) -> str | None:
        """Why this firmware does not run; None: it runs."""
        if self._any:
            return None
        if not self._bytes.startswith(MAGIC):
            return "the firmware does not begin with MA2x"
        at = self._bytes.rfind(CALL)
        if at < 0:
            return "the firmware has no call of 0x7000e9d0"
        if self._bytes[at - 6 : at - 1] != MEMORY:
            return "the type of memory is not stored before the last call of 0x7000e9d0"
        return None
