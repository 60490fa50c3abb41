"""The two commands: ncs-clusterd (daemon.py) and ncsctl (ncsctl.py)."""
