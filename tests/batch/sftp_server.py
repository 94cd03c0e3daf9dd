"""An SFTP server on this machine, made of what paramiko has for servers: a directory, one user, a password."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

paramiko = pytest.importorskip("paramiko", reason="paramiko is not installed")

USER, PASSWORD = "tester", "testing-secret"


class _Access(paramiko.ServerInterface):
    """Whoever knows the password may ask for files."""

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        known = (username, password) == (USER, PASSWORD)
        return int(paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)


class _Handle(paramiko.SFTPHandle):
    """An open file."""

    def stat(self) -> Any:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


class _Files(paramiko.SFTPServerInterface):
    """What is below a directory, which is "/" there."""

    def __init__(self, server: Any, top: Path) -> None:
        super().__init__(server)
        self._top = top

    def _here(self, path: str) -> Path:
        return self._top / self.canonicalize(path).lstrip("/")

    def _told(self, path: Path) -> Any:
        return paramiko.SFTPAttributes.from_stat(path.stat(), path.name)

    def list_folder(self, path: str) -> Any:
        return _answer(lambda: [self._told(one) for one in self._here(path).iterdir()])

    def stat(self, path: str) -> Any:
        return _answer(lambda: self._told(self._here(path)))

    lstat = stat

    def open(self, path: str, flags: int, attr: Any) -> Any:
        def opened() -> Any:
            file = os.fdopen(os.open(self._here(path), flags, 0o600), "r+b" if flags & os.O_RDWR else
                             "wb" if flags & os.O_WRONLY else "rb")  # fmt: skip
            handle = _Handle(flags)
            handle.readfile = handle.writefile = file
            return handle

        return _answer(opened)

    def remove(self, path: str) -> int:
        return _done(lambda: self._here(path).unlink())

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        return _done(lambda: self._here(oldpath).replace(self._here(newpath)))

    def mkdir(self, path: str, attr: Any) -> int:
        return _done(lambda: self._here(path).mkdir())


def _answer(ask: Any) -> Any:
    """What it gives, or the number of what went wrong."""
    try:
        return ask()
    except OSError as error:
        return paramiko.SFTPServer.convert_errno(error.errno)


def _done(do: Any) -> int:
    failed = _answer(do)
    return int(failed if isinstance(failed, int) else paramiko.SFTP_OK)


@contextmanager
def sftp_server(top: Path) -> Iterator[str]:
    """Gives the beginning of its addresses, such as sftp://user:password@host:port."""
    listening, key = socket.create_server(("127.0.0.1", 0)), paramiko.ECDSAKey.generate()
    transports: list[Any] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # closed
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, top)
            transports.append(transport)
            transport.start_server(event=threading.Event(), server=_Access())

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"sftp://{USER}:{PASSWORD}@127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()
        for transport in transports:
            transport.close()
