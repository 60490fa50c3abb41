"""All decisions. Events in, actions out, time as an argument: no clock, no I/O, no logger, no numpy."""
