"""Files that the tables of servers name: a password, and the authority that has signed the server's certificate."""

from __future__ import annotations

from typing import Optional

from ncs_cluster.config.context import Context
from ncs_cluster.token_file import read_password


def password(context: Context, table: str, text: Optional[str]) -> Optional[str]:
    """The password in the file of the key `password_file`; None where the key is not set. Raises ConfigError."""
    if text is None:
        return None
    try:
        return read_password(context.path(text, table, "password_file"))
    except ValueError as error:
        context.refuse(table, "password_file", because=str(error))


def ca_file(context: Context, table: str, text: Optional[str]) -> Optional[str]:
    """Path of the file of the key `ca_file`, which holds a certificate; None where the key is not set. Raises ConfigError."""
    if text is None:
        return None
    path = context.path(text, table, "ca_file")
    import ssl

    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        context.refuse(table, "ca_file", because=f"{path} holds no certificate in PEM form")
    except OSError as error:
        context.refuse(table, "ca_file", because=f"{path} cannot be read: {error.strerror}")
    return str(path)
