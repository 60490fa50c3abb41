"""The gateway: web page, REST, live pictures and metrics, in a process of its own that may die or hang without touching the rest.

__main__   the process: its channel to the supervisor, its heartbeat, its end
server     the listening socket; connections that dawdle are cut off
auth       who may come in: Host, Origin, token, session
web        routes
daemon     what the supervisor says, asked for in one thread and remembered
pictures   the newest picture of each camera as JPEG, encoded once for all viewers
metrics    the status document for Prometheus
static/    the page; nothing in it is loaded from elsewhere
"""
