"""Programs that speak to a stick, run by `python -c` under the recorder."""

MEET = """
import os, sys, time
from tests.emulator.libusb import Usb, patched
from ncs_cluster.xlink.frames import FrameType, Header
usb = Usb("libusb-1.0.so.0", os.environ["NCS_EMULATOR_SOCKET"])
rom = usb.open(usb.one(), claim=False)
rom.configure(1)
rom.claim()
firmware = patched()
for at in range(0, len(firmware), 16384):
    rom.write(firmware[at : at + 16384])
rom.close()
while [each.product for each in usb.sticks()] != ["f63b"]:
    time.sleep(0.01)
"""
"""A program that boots the one stick through libusb's blocking calls."""
TALK = (
    MEET
    + """
stick = usb.open(usb.one())
assert len(stick.string(3)) == 8
stick.write(Header(10, FrameType.PING_REQ).encode())
assert len(stick.read(84)) == 84
stick.write(Header(11, FrameType.WRITE_REQ, size=9000).encode())
stick.write(bytes(9000))
"""
)
LEAVE = """
stick.release()
stick.close()
usb.exit()
"""
ASYNC = (
    MEET
    + """
from ncs_cluster.backends._libusb import Context
from ncs_cluster.backends._usb_pipe import Pipe
usb.exit()
context = Context("libusb-1.0.so.0")
handle = context.open(context.devices(0x03E7)[0])
handle.claim()
pipe = Pipe(context, handle, "stick", 4096)
pipe.send(Header(10, FrameType.PING_REQ).encode())
pipe.send(Header(11, FrameType.WRITE_REQ, size=9000).encode())
pipe.send(bytes(9000))
for size in (84, 84, 9000):
    pipe.ask(size)
    while (came := pipe.step()) is None:
        context.wait(1.0)
    assert len(came) == size
pipe.ask(84)
pipe.close()
context.close()
"""
)
"""The same through asynchronous transfers; the last read is called off."""
LISTING = """
import ctypes
usb = ctypes.CDLL("libusb-1.0.so.0")
usb.libusb_error_name.restype = ctypes.c_char_p
context, devices = ctypes.c_void_p(), ctypes.c_void_p()
assert usb.libusb_init(ctypes.byref(context)) == 0
assert usb.libusb_get_device_list(context, ctypes.byref(devices)) >= 0
assert usb.libusb_error_name(-4) == b"LIBUSB_ERROR_NO_DEVICE"
assert usb.libusb_has_capability(0) == 1
usb.libusb_free_device_list(devices, 1)
usb.libusb_exit(context)
print("listed")
"""
"""Asks for the list of devices, and some calls that are only passed on."""
