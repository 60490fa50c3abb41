"""The firmware is sent as the vendor's plugin sends it, and nothing else is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ncs_cluster.errors import ConfigError
from ncs_cluster.xlink import firmware as fw

MINIATURE = b"MA2x" + b"\x11" * 20 + fw.CALL + b"\x22" * 9 + fw.CALL + b"\x33" * 7 + fw.START


def test_the_watchdogs_switch_goes_before_the_start_and_the_memory_type_before_the_last_call():
    patched = fw.patch(MINIATURE)
    head = MINIATURE.rfind(fw.CALL)
    assert (
        patched == MINIATURE[:head] + bytes.fromhex("98000c207000") + MINIATURE[head:-8] + bytes.fromhex("980000208001") + fw.START
    )


def test_the_watchdog_can_be_left_off():
    assert fw.patch(MINIATURE, watchdog=False)[-9:] == b"\0" + fw.START


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MA2x",
        MINIATURE[:-1],
        MINIATURE[4:],
        MINIATURE.replace(fw.CALL, b""),
        fw.patch(MINIATURE),
        b"MA2x" + fw.CALL[:4] + fw.START,
    ],
    ids=["empty", "magic only", "cut off", "headless", "without the call", "patched already", "half a call"],
)
def test_what_is_no_firmware_is_refused_in_one_line(data: bytes):
    with pytest.raises(ConfigError, match="ncsctl firmware install"):
        fw.patch(data)


def test_only_the_pinned_file_is_the_firmware():
    with pytest.raises(ConfigError, match=r"2021\.4\.2"):
        fw.judge(MINIATURE)
    with pytest.raises(ConfigError):
        fw.judge(bytes(fw.SIZE))


def test_the_real_file_is_patched_where_the_vendors_plugin_patches_it(firmware: Path):
    mvcmd = firmware.read_bytes()
    fw.judge(mvcmd)
    patched = fw.patch(mvcmd)
    assert len(patched) == 2_298_644
    assert patched[0x1E784:0x1E78A].hex() == "98000c207000"
    assert patched[0x231306:0x23130D].hex() == "980000208001a4"
    without = patched[:0x1E784] + patched[0x1E78A:0x231306] + patched[0x23130C:]
    assert hashlib.sha256(without).hexdigest() == fw.SHA256
