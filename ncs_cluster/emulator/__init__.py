"""An emulated Myriad X, for tests without a stick.

`libusb.c` replaces libusb-1.0 in the program under test and connects it to the bus process, `server`. `bus` emulates USB, a chip
(`stick`) is at each port, `sysfs` is the kernel's view of the bus, and `emulator.Emulator` starts all of it.
"""
