"""The file of an anonymisation key: 64 hexadecimal digits, for its owner's eyes only."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pcapreport.errors import UsageError
from pcapreport.language import phrase
from pcapreport.pseudonyms import KEY_BYTES


class KeyFile(NamedTuple):
    """A key and where it came from."""

    key: bytes
    made: bool
    """The file was not there and has been written."""


def key_in(path: Path) -> KeyFile:
    """The key in this file, which is written if it is not there; raises UsageError for one that holds none."""
    try:
        try:
            return KeyFile(_read(path), False)
        except FileNotFoundError:
            return _made(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            phrase("--key-file {path}: {reason}; check the path and its permissions", path=str(path), reason=reason)
        ) from error


def _read(path: Path) -> bytes:
    with suppress(ValueError):  # neither text nor hexadecimal
        key = bytes.fromhex(path.read_bytes()[: 4 * KEY_BYTES].decode("ascii").strip())
        if len(key) == KEY_BYTES:
            return key
    raise UsageError(
        phrase(
            "--key-file {path}: is no key ({digits} hexadecimal digits); name a file that is not there yet to get one",
            path=str(path),
            digits=2 * KEY_BYTES,
        )
    )


def _made(path: Path) -> KeyFile:
    """A new key in a new file; whoever else makes it at the same moment decides."""
    key = secrets.token_bytes(KEY_BYTES)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return KeyFile(_read(path), False)
    with os.fdopen(file, "w") as stream:
        stream.write(f"{key.hex()}\n")
    return KeyFile(key, True)
