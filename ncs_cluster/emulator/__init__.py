"""An emulated Myriad X: sticks to test against without a stick.

`libusb.c` stands in for libusb-1.0 in the program under test, `server` is the bus it talks to, with `bus` for what USB does
and a chip (`stick`) at each port, `sysfs` is what a kernel would show of it, and `emulator.Emulator` starts it all.
"""
