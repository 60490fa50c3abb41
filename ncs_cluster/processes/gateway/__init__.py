"""The gateway: web page, REST, live pictures and metrics, in a process of its own that may die or hang without touching the rest.

__main__   the process: its channel to the supervisor, its heartbeat, its shutdown
server     the listening socket; slow connections are closed
auth       authentication, host check, cross-site check
tokens     the tokens that count, and the sessions of browsers
hosts      names of this machine, for Host and Origin
visitors      who asks, and the wrong tokens that came from there
web        routes
daemon     the supervisor's status and events, polled in one thread and cached
history    five minutes of temperatures for the page's charts
pictures   the newest picture of each camera as JPEG, encoded once for all viewers
metrics    the status document for Prometheus
static/    the page; it loads nothing from other hosts
"""
