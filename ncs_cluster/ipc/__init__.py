"""How processes talk: bounded messages over AF_UNIX SOCK_SEQPACKET, pixels in sealed memfds passed by descriptor.

No names in /dev/shm, no lock shared between processes: whatever is killed, nothing is left behind.
"""
