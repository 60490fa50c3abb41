"""libusb 1.0 in the calls a stick needs: list, open, claim, asynchronous bulk transfers. For one thread.

One epoll descriptor gathers everything libusb waits for, so its owner waits for USB and for other descriptors in one call, without
a thread. `submit` starts a transfer, `handle_events` returns those that have ended. Structures and constants are those of libusb's
public documentation (https://libusb.sourceforge.io/api-1.0/). Runs on CPython 3.9.
"""

from __future__ import annotations

import ctypes
import select
from contextlib import contextmanager
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_int, c_short, c_ubyte, c_uint, c_uint8, c_uint16, c_void_p
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

IO, ACCESS, NO_DEVICE, NOT_FOUND, BUSY, TIMEOUT, NO_MEM = -1, -3, -4, -5, -6, -7, -11
COMPLETED, FAILED, TIMED_OUT, CANCELLED, STALLED, GONE, OVERFLOWED = range(7)
"""How a transfer ended."""
CONTROL_MS = 1000
_BULK = 2
_ABANDONED: List[Any] = []
"""Contexts whose transfers the kernel kept: freeing them would let libusb write into freed memory."""


class UsbError(Exception):
    """A call that failed. `code` is one of libusb's negative numbers."""

    def __init__(self, code: int, name: str) -> None:
        super().__init__(name)
        self.code = code


class _Described(Structure):
    _fields_ = [
        *[(name, c_uint8) for name in ("bLength", "bDescriptorType")],
        ("bcdUSB", c_uint16),
        *[(name, c_uint8) for name in ("bDeviceClass", "bDeviceSubClass", "bDeviceProtocol", "bMaxPacketSize0")],
        *[(name, c_uint16) for name in ("idVendor", "idProduct", "bcdDevice")],
        *[(name, c_uint8) for name in ("iManufacturer", "iProduct", "iSerialNumber", "bNumConfigurations")],
    ]


class _Endpoint(Structure):
    _fields_ = [
        *[(name, c_uint8) for name in ("bLength", "bDescriptorType", "bEndpointAddress", "bmAttributes")],
        ("wMaxPacketSize", c_uint16),
        *[(name, c_uint8) for name in ("bInterval", "bRefresh", "bSynchAddress")],
        ("extra", c_void_p),
        ("extra_length", c_int),
    ]


class _Setting(Structure):
    _fields_ = [
        *[(name, c_uint8) for name in ("bLength", "bDescriptorType", "bInterfaceNumber", "bAlternateSetting", "bNumEndpoints")],
        *[(name, c_uint8) for name in ("bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol", "iInterface")],
        ("endpoint", POINTER(_Endpoint)),
        ("extra", c_void_p),
        ("extra_length", c_int),
    ]


class _Interface(Structure):
    _fields_ = [("altsetting", POINTER(_Setting)), ("num_altsetting", c_int)]


class _Configuration(Structure):
    _fields_ = [
        *[(name, c_uint8) for name in ("bLength", "bDescriptorType")],
        ("wTotalLength", c_uint16),
        *[(name, c_uint8) for name in ("bNumInterfaces", "bConfigurationValue", "iConfiguration", "bmAttributes", "MaxPower")],
        ("interface", POINTER(_Interface)),
        ("extra", c_void_p),
        ("extra_length", c_int),
    ]


class _Where(ctypes.Union):
    # a union of one pointer: c_char_p is set from bytes without a call, c_void_p from an address
    _fields_ = [("constant", c_char_p), ("buffer", c_void_p)]


class _Transfer(Structure):
    _anonymous_ = ("where",)
    _fields_ = [
        ("dev_handle", c_void_p),
        ("flags", c_uint8),
        ("endpoint", c_ubyte),
        ("type", c_ubyte),
        ("timeout", c_uint),
        ("status", c_int),
        ("length", c_int),
        ("actual_length", c_int),
        ("callback", c_void_p),
        ("user_data", c_void_p),
        ("where", _Where),
        ("num_iso_packets", c_int),
    ]


class _PollFd(Structure):
    _fields_ = [("fd", c_int), ("events", c_short)]


_Ended = ctypes.CFUNCTYPE(None, c_void_p)
_Added = ctypes.CFUNCTYPE(None, c_int, c_short, c_void_p)
_Removed = ctypes.CFUNCTYPE(None, c_int, c_void_p)


def load(name: str) -> Any:
    """The library, its calls typed. Raises OSError."""
    library = ctypes.CDLL(name)
    for call in ("alloc_transfer", "get_pollfds"):
        getattr(library, f"libusb_{call}").restype = c_void_p
    library.libusb_get_pollfds.restype = POINTER(POINTER(_PollFd))
    library.libusb_get_device_list.restype = ctypes.c_ssize_t
    library.libusb_error_name.restype = c_char_p
    for call in ("submit_transfer", "cancel_transfer", "free_transfer", "close", "reset_device"):
        getattr(library, f"libusb_{call}").argtypes = [c_void_p]
    for call in ("set_configuration", "claim_interface", "release_interface", "detach_kernel_driver"):
        getattr(library, f"libusb_{call}").argtypes = [c_void_p, c_int]
    library.libusb_control_transfer.argtypes = [c_void_p, c_uint8, c_uint8, c_uint16, c_uint16, c_void_p, c_uint16, c_uint]
    return library


class Device(NamedTuple):
    """One device as it was when the bus was listed."""

    vendor: int
    product: int
    bus: int
    address: int
    chain: str
    """Ports from the root hub on: "1.2"."""

    @property
    def port(self) -> str:
        """The name the kernel has for the place: "1-1.2"."""
        return f"{self.bus}-{self.chain}"


class Transfer:
    """One bulk transfer, used many times. Its bytes must not change while it is `pending`."""

    def __init__(self, context: Context, handle: int, endpoint: int) -> None:
        library = context.functions
        self._context, self._raw = context, library.libusb_alloc_transfer(0)
        if not self._raw:
            raise UsbError(NO_MEM, "LIBUSB_ERROR_NO_MEM")
        self._fields = _Transfer.from_address(self._raw)
        self._fields.dev_handle, self._fields.endpoint, self._fields.type = handle, endpoint, _BULK
        self._fields.callback = context.ended
        self._submit, self._argument = library.libusb_submit_transfer, c_void_p(self._raw)
        self._data: Any = None
        self.pending = False
        self.length = self.done = 0
        """Bytes submitted, and bytes transferred."""
        self.status = COMPLETED
        """Status of the last submission: COMPLETED, CANCELLED, GONE, ..."""
        context.transfers[self._raw] = self

    def submit(self, data: Union[bytes, bytearray, memoryview], length: int) -> None:
        """Send the first `length` bytes, or receive into them. Raises UsbError."""
        fields, self._data = self._fields, data
        if isinstance(data, bytes):
            fields.constant = data
        elif isinstance(data, memoryview) and data.readonly:
            fields.constant = self._data = bytes(data)
        else:
            fields.buffer = ctypes.addressof(c_char.from_buffer(data))
        fields.length = self.length = length
        code = self._submit(self._argument)
        if code:
            self._context.check(code)
        self.pending = True

    def end(self) -> None:
        """libusb has called back: the transfer is no longer pending."""
        self.pending = False
        self.status, self.done = self._fields.status, self._fields.actual_length

    def rest(self) -> Union[bytes, bytearray, memoryview]:
        """The submitted bytes that were not transferred."""
        return memoryview(self._data)[self.done : self.length]

    def cancel(self) -> None:
        """Cancel; `handle_events` returns the transfer later. No error when it has just ended or its device is gone."""
        self._context.functions.libusb_cancel_transfer(self._argument)

    def free(self) -> None:
        """Free the transfer, which must not be pending."""
        del self._context.transfers[self._raw]
        self._context.functions.libusb_free_transfer(self._argument)


class Handle:
    """An open device."""

    def __init__(self, context: Context, raw: int) -> None:
        self._context, self.raw = context, raw

    def configure(self, value: int) -> None:
        self._context.check(self._context.functions.libusb_set_configuration(self.raw, value))

    def claim(self) -> None:
        """Claim interface 0, detaching a kernel driver."""
        self._context.functions.libusb_detach_kernel_driver(self.raw, 0)
        self._context.check(self._context.functions.libusb_claim_interface(self.raw, 0))

    def reset(self) -> None:
        """Reset the port. UsbError NOT_FOUND: the device returns under another address."""
        self._context.check(self._context.functions.libusb_reset_device(self.raw))

    def control(self, kind: int, request: int, value: int, index: int, length: int = 0) -> bytes:
        """A control transfer that reads `length` bytes, or sends none. Blocks for at most CONTROL_MS. Raises UsbError."""
        data = (c_ubyte * max(1, length))()
        call = self._context.functions.libusb_control_transfer
        return bytes(data[: self._context.check(call(self.raw, kind, request, value, index, data, length, CONTROL_MS))])

    def transfer(self, endpoint: int) -> Transfer:
        return Transfer(self._context, self.raw, endpoint)

    def close(self) -> None:
        """Close the device. None of its transfers may be pending: libusb would write into freed memory."""
        self._context.functions.libusb_release_interface(self.raw, 0)
        self._context.functions.libusb_close(self.raw)


class Context:
    """A connection to libusb. Raises UsbError, and OSError when there is no such library."""

    def __init__(self, name: str) -> None:
        self.functions = load(name)
        self._raw = c_void_p()
        self.check(self.functions.libusb_init(byref(self._raw)))
        self.transfers: Dict[int, Transfer] = {}
        self.stuck = False
        self._ended: List[Transfer] = []
        # a timeval of 0 s with room for either size: libusb builds for 32-bit ARM have 32-bit or 64-bit time_t
        self._no_time = byref((c_uint * 4)())
        self._handle_events = self.functions.libusb_handle_events_timeout_completed
        self._epoll = select.epoll()
        # libusb calls these until it exits, so they must not be collected
        self._callbacks = (_Ended(self._end), _Added(self._add), _Removed(self._remove))
        self.ended = ctypes.cast(self._callbacks[0], c_void_p).value
        watched = self.functions.libusb_get_pollfds(self._raw)
        for index in range(1 << 16):
            if not watched[index]:
                break
            self._add(watched[index].contents.fd, watched[index].contents.events, None)
        self.functions.libusb_free_pollfds(watched)
        self.functions.libusb_set_pollfd_notifiers(self._raw, self._callbacks[1], self._callbacks[2], None)

    @property
    def wake_fd(self) -> int:
        """Readable when handle_events has something to do."""
        return self._epoll.fileno()

    def wait(self, timeout_s: float) -> None:
        """Wait for events, at most so many seconds."""
        self._epoll.poll(max(0.0, timeout_s))

    def handle_events(self) -> List[Transfer]:
        """Transfers that have ended, in the order in which they ended. Never blocks. Raises UsbError."""
        if not self._epoll.poll(0.0):
            return []
        code = self._handle_events(self._raw, self._no_time, None)
        if code:
            self.check(code)
        ended, self._ended = self._ended, []
        return ended

    def devices(self, vendor: Optional[int]) -> List[Device]:
        """Devices of this vendor, or of any, that are plugged in now. Raises UsbError."""
        with self._listed() as listed:
            return [device for device, _ in listed if vendor in (None, device.vendor)]

    def open(self, device: Device) -> Handle:
        """Open a listed device. Raises UsbError: ACCESS, BUSY, NO_DEVICE (also when it left after the listing), ..."""
        handle = c_void_p()
        with self._pointer(device) as raw:
            self.check(self.functions.libusb_open(raw, byref(handle)))
        return Handle(self, handle.value or 0)

    def out_endpoint(self, device: Device) -> Optional[int]:
        """The first bulk OUT endpoint of interface 0. Raises UsbError."""
        told = POINTER(_Configuration)()
        with self._pointer(device) as raw:
            self.check(self.functions.libusb_get_config_descriptor(raw, c_uint8(0), byref(told)))
        try:
            configuration = told.contents
            if not configuration.bNumInterfaces or not configuration.interface[0].num_altsetting:
                return None
            setting = configuration.interface[0].altsetting[0]
            for endpoint in setting.endpoint[: setting.bNumEndpoints]:
                if endpoint.bmAttributes & 3 == _BULK and not endpoint.bEndpointAddress & 0x80:
                    return int(endpoint.bEndpointAddress)
            return None
        finally:
            self.functions.libusb_free_config_descriptor(told)

    def abandon(self) -> None:
        """The kernel kept a transfer: the device must stay open, libusb must not exit, and the memory must not be freed."""
        self.stuck = True
        _ABANDONED.append(self)

    def close(self) -> None:
        """Exit libusb; no handle may be open. A stuck context stays until the process ends."""
        if self.stuck:
            return
        self.functions.libusb_set_pollfd_notifiers(self._raw, None, None, None)
        self.functions.libusb_exit(self._raw)
        self._epoll.close()

    def check(self, code: int) -> int:
        """Returns `code`. Raises UsbError for a negative one."""
        if code < 0:
            raise UsbError(code, self.functions.libusb_error_name(code).decode("ascii", "replace"))
        return code

    @contextmanager
    def _listed(self) -> Iterator[List[Tuple[Device, c_void_p]]]:
        """All devices with libusb's pointers, valid inside the block only: libusb frees those of devices that have left."""
        library, listed = self.functions, POINTER(c_void_p)()
        count = self.check(library.libusb_get_device_list(self._raw, byref(listed)))
        try:
            yield [self._described(c_void_p(listed[index])) for index in range(count)]
        finally:
            library.libusb_free_device_list(listed, 1)

    def _described(self, raw: c_void_p) -> Tuple[Device, c_void_p]:
        library, described, chain = self.functions, _Described(), (c_uint8 * 8)()
        library.libusb_get_device_descriptor(raw, byref(described))
        length = max(0, library.libusb_get_port_numbers(raw, chain, 8))
        place = library.libusb_get_bus_number(raw), library.libusb_get_device_address(raw)
        return Device(described.idVendor, described.idProduct, *place, ".".join(map(str, chain[:length]))), raw

    @contextmanager
    def _pointer(self, device: Device) -> Iterator[c_void_p]:
        with self._listed() as listed:
            for seen, raw in listed:
                if seen == device:
                    yield raw
                    return
        raise UsbError(NO_DEVICE, "LIBUSB_ERROR_NO_DEVICE")

    def _end(self, raw: int) -> None:
        transfer = self.transfers[raw]
        transfer.end()
        self._ended.append(transfer)

    def _add(self, fd: int, events: int, _: Optional[int]) -> None:
        self._epoll.register(fd, events)

    def _remove(self, fd: int, _: Optional[int]) -> None:
        try:
            self._epoll.unregister(fd)
        except OSError:  # closed already
            pass
