"""The host's side of XLink, the protocol between an NCS2 and its host. Pure: events in, bytes out, time as an argument."""
