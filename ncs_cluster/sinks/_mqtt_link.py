"""The connection to the broker: one thread, which owns paho's client, connects again after a wait, and sends what `Home` has. It
never blocks on a broker that does not read: a message is handed to the socket only when the one before it has left.

Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, List, Optional

from ncs_cluster.errors import ConfigError, one_line
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._backoff import STABLE_S, Backoff
from ncs_cluster.sinks._mqtt_bounds import bounded
from ncs_cluster.sinks._mqtt_home import OFFLINE, Home

if TYPE_CHECKING:
    from paho.mqtt.client import Client

KEEPALIVE_S = 10
CONNECT_S = 5.0
"""Longest wait for the connection, and for the broker's answer to it."""
STALLED_S = 5.0
"""A broker that takes no message for so long is told of."""
MOST_ADOPTIONS = 2
"""Connections in which what the broker has of an earlier daemon is asked for. It may be more than comes in CONNECT_S: whoever may
publish at the broker may leave it there."""
LAST_WORDS_S = 1.0
"""For the last message of a daemon that stops."""
TURN_S = 1.0


class Context(ssl.SSLContext):
    """Knows its newest socket: paho leaves one open whose handshake has failed."""

    newest: Optional[ssl.SSLSocket] = None

    def wrap_socket(self, *args: Any, **given: Any) -> ssl.SSLSocket:
        self.newest = super().wrap_socket(*args, **given)
        return self.newest


class Broker:
    """How the broker is reached. The password appears in no text."""

    def __init__(
        self, host: str, port: int, user: Optional[str], password: Optional[str], tls: bool, ca_file: Optional[str]
    ) -> None:
        self.host, self.port = host, port
        self.user, self.password = user, password
        self.tls, self.ca_file = tls, ca_file
        self._context: Optional[Context] = None

    def client(self, name: str) -> Client:
        """Not connected. Raises ConfigError without paho-mqtt, OSError for a CA file that cannot be read."""
        made = bounded(library().Client)
        client: Client = made(paho_callback_version(), client_id=name, reconnect_on_failure=False)
        client.connect_timeout = CONNECT_S
        if self.user is not None:
            client.username_pw_set(self.user, self.password)
        if self.tls:
            self._context = Context(ssl.PROTOCOL_TLS_CLIENT)
            if self.ca_file is not None:
                self._context.load_verify_locations(self.ca_file)
            else:
                self._context.load_default_certs(ssl.Purpose.SERVER_AUTH)
            client.tls_set_context(self._context)
        return client

    def abandon(self) -> None:
        """The connection could not be made."""
        if self._context is not None and self._context.newest is not None:
            self._context.newest.close()


def library() -> Any:
    """paho's module. Raises ConfigError, one line, where it is missing or too old."""
    try:
        import paho.mqtt.client as client
        from paho.mqtt.enums import CallbackAPIVersion  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"--mqtt needs paho-mqtt 2 ({reason(error)}): pip install 'ncs-cluster[mqtt]'") from error
    return client


def paho_callback_version() -> Any:
    from paho.mqtt.enums import CallbackAPIVersion

    return CallbackAPIVersion.VERSION2


class Link:
    """The thread. `home` is shared with the thread that writes records: `lock` is held while it is used."""

    def __init__(self, broker: Broker, home: Home, lock: threading.Lock, pressed: Callable[[str], None]) -> None:
        """`pressed(command)`: a button was pressed, "switch"; called by the thread, must not block."""
        self._broker, self._home, self._lock, self._pressed = broker, home, lock, pressed
        self._backoff = Backoff()
        self._waking, self._wake_end = os.pipe()
        os.set_blocking(self._waking, False)
        os.set_blocking(self._wake_end, False)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._client: Optional[Client] = None
        self._refused: Optional[str] = None
        self._taken = 0
        """Connections in a row that were soon lost, none of them refused."""
        self._adopting = True
        """What the broker has of an earlier daemon was not read yet."""
        self._adoptions = 0
        self._second_subscription: Optional[int] = None
        self._connected_s: Optional[float] = None
        self.trouble: Optional[str] = None
        """Why nothing arrives at present, one line; None while the connection holds, and before it was tried."""

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something may be due."""
        try:
            os.write(self._wake_end, b".")
        except OSError:
            # full: it is awake
            pass

    def close(self) -> None:
        """Say goodbye and end, within LAST_WORDS_S."""
        self._closing.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(LAST_WORDS_S + 0.5)

    # -- the thread

    def _run(self) -> None:
        while not self._closing.is_set():
            self._connected_s = self._refused = None
            error: Optional[Exception] = None
            try:
                self._session()
            except Exception as caught:
                error = caught
            with self._lock:
                self._home.disconnected()
            self._ended(0.0 if self._connected_s is None else time.monotonic() - self._connected_s)
            why = self._refused or (self._lost() if error is None else told(error))
            if self._closing.is_set():
                return
            self.trouble = f"the MQTT broker {self._broker.host}:{self._broker.port} cannot be used: {why}"
            self._closing.wait(self._backoff.next_s())

    def _ended(self, connected_s: float) -> None:
        """A connection has ended that was there for so long."""
        self._backoff.held(connected_s)
        # two clients of one name take the connection from each other; a broker that starts again is away for a while
        self._taken = self._taken + 1 if 0.0 < connected_s < STABLE_S else 0

    def _lost(self) -> str:
        if self._taken > 1:
            return f"the connection was lost again; does another daemon use the node {self._home.about.node}?"
        return "the connection was lost"

    def _session(self) -> None:
        """One connection. Raises OSError and others when it cannot be made; returns when it has ended."""
        about = self._home.about
        client = self._client = self._broker.client(about.id)
        client.on_connect, client.on_message, client.on_subscribe = self._on_connect, self._on_message, self._on_subscribe
        client.on_socket_open = at_once
        client.will_set(about.availability, OFFLINE, qos=1, retain=True)
        try:
            client.connect(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S)
        except Exception:
            self._broker.abandon()
            raise
        try:
            began_s = stuck_s = time.monotonic()
            while not self._closing.is_set():
                now_s = time.monotonic()
                if self._connected_s is None and now_s - began_s > CONNECT_S:
                    raise TimeoutError("it does not answer")
                if not client.want_write():
                    stuck_s = now_s
                    self._send(client)
                    if self._connected_s is not None and self._refused is None:
                        self.trouble = None
                elif now_s - stuck_s > STALLED_S:
                    raise TimeoutError("it takes no messages")
                if not self._turn(client):
                    return
            self._farewell(client)
        finally:
            close(client)

    def _send(self, client: Client) -> None:
        """Send what is due until the socket is full."""
        now_s = time.monotonic()
        with self._lock:
            self._home.tick(now_s)
            messages = self._home.due(now_s)
        for message in messages:
            client.publish(message.topic, message.payload, retain=True)
            with self._lock:
                self._home.sent(message, now_s)
            if client.want_write():
                break

    def _turn(self, client: Client) -> bool:
        """Wait for something to do, and let paho do it; False: the connection has ended."""
        sock = client.socket()
        if sock is None:
            return False
        with self._lock:
            wait_s = min(TURN_S, max(0.0, self._home.next_s() - time.monotonic()))
        writing = [sock] if client.want_write() else []
        # the wait of `due` does not count while the broker takes nothing
        wait_s = TURN_S if writing else wait_s
        reading: List[Any] = [sock, self._waking]
        readable, writable, _ = select.select(reading, writing, [], 0.0 if pending(sock) else wait_s)
        if self._waking in readable:
            os.read(self._waking, 4096)
        if sock in readable or pending(sock):
            if client.loop_read() != 0:
                return False
            while pending(sock):
                if client.loop_read() != 0:
                    return False
        if writable and client.loop_write() != 0:
            return False
        if client.loop_misc() != 0 or client.socket() is None:
            # paho has ended the connection: no answer to its ping
            raise TimeoutError("it does not answer")
        return True

    def _farewell(self, client: Client) -> None:
        if self._connected_s is None:
            return
        until_s = time.monotonic() + LAST_WORDS_S
        message = self._home.farewell()
        sent = client.publish(message.topic, message.payload, qos=1, retain=True)
        while not sent.is_published() and time.monotonic() < until_s and (sock := client.socket()) is not None:
            writing = [sock] if client.want_write() else []
            select.select([sock], writing, [], 0.0 if pending(sock) else max(0.0, until_s - time.monotonic()))
            if client.loop_read() != 0 or (client.want_write() and client.loop_write() != 0):
                return

    # -- called by paho, in the thread

    def _on_connect(self, client: Client, _user: object, _flags: object, code: Any, _properties: object) -> None:
        if code.is_failure:
            self._refused = one_line(str(code))
            return
        about = self._home.about
        self._adoptions += 1
        self._adopting = self._adopting and self._adoptions <= MOST_ADOPTIONS
        if self._adopting:
            client.subscribe([(about.config, 0), (f"{about.base}/#", 0)])
        wanted = [(f"{about.discovery_prefix}/status", 0)]
        if about.commands:
            wanted.append((f"{about.base}/command/+", 0))
        # brokers answer in order: what they retain of the first subscription comes before the answer to this one
        self._second_subscription = client.subscribe(wanted)[1]

    def _on_subscribe(self, client: Client, _user: object, number: int, codes: Any, _properties: object) -> None:
        if number != self._second_subscription:
            return
        about = self._home.about
        if self._adopting:
            self._adopting = False
            client.unsubscribe([about.config, f"{about.base}/#"])
        self._connected_s = time.monotonic()
        with self._lock:
            self._home.connected()

    def _on_message(self, _client: Client, _user: object, message: Any) -> None:
        about = self._home.about
        try:
            topic: str = message.topic
        except UnicodeDecodeError:
            # a broker that breaks the protocol: it is not of ours
            return
        if message.retain:
            if self._adopting:
                with self._lock:
                    self._home.earlier(topic, bytes(message.payload))
        elif topic == f"{about.discovery_prefix}/status":
            if message.payload == b"online":
                with self._lock:
                    self._home.home_online(time.monotonic())
        elif about.commands and topic.startswith(f"{about.base}/command/") and message.payload == b"PRESS":
            self._pressed(topic.rpartition("/")[2])


def at_once(_client: Client, _user: object, sock: Any) -> None:
    """Small messages do not wait for the broker's acknowledgement of the one before (Nagle's algorithm)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def pending(sock: Any) -> bool:
    """TLS has decrypted more than was read: select does not see it."""
    waiting = getattr(sock, "pending", None)
    return bool(waiting is not None and waiting())


def close(client: Client) -> None:
    """Disconnect in order where that is possible; else the broker publishes the last will."""
    try:
        client.disconnect()
        if (sock := client.socket()) is not None:
            sock.close()
    except Exception:
        # it is gone already
        pass


def told(error: Exception) -> str:
    """Why a connection failed, one line."""
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {one_line(error.verify_message)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails: {one_line(error.reason or str(error))}"
    if isinstance(error, (TimeoutError, socket.timeout)):
        return one_line(str(error)) or "it does not answer"
    if isinstance(error, OSError):
        return one_line(error.strerror or str(error))
    return one_line(str(error)) or type(error).__name__
