"""What would tell whose capture it is, replaced while it is read: nothing behind this has met an original.

Of each block of rows addresses and ports; at the end what the file says of its origin, and the ICMP errors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapreport.capture.icmp import IcmpError
from pcapreport.capture.model import Capture, Interface
from pcapreport.capture.packet_table import Array, PacketTable
from pcapreport.pseudonyms import Pseudonyms

MOST_KEPT = 1 << 20
"""Addresses remembered: 40 MB at most."""

_SORTABLE: Mapping[int, str] = {4: "u4", 6: "S16"}
_PACKED: Mapping[int, str] = {4: ">u4", 6: "S16"}
"""By IP version what an address is one item of: to be sorted, and as it stands in packets."""


class Anonymizer:
    """Replaces what identifies in one capture; remembers the addresses that it met, of which most come again."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._met = {version: _Met(pseudonyms, version) for version in _PACKED}

    def table(self, table: PacketTable) -> PacketTable:
        """The same rows with other addresses and, if wanted, ports."""
        columns = dict(table.columns)
        versions = columns["ip_version"]
        for way in ("src", "dst"):
            names = f"{way}_hi", f"{way}_lo"
            columns |= zip(names, self._replaced(versions, *(columns[name] for name in names)), strict=True)
        ports = self._pseudonyms.ports()
        columns |= {name: ports[columns[name]] for name in ("sport", "dport")}
        return PacketTable(columns, table.sack_blocks, table.encapsulations)

    def _replaced(self, versions: Array, high: Array, low: Array) -> tuple[Array, Array]:
        """Upper and lower halves of the pseudonyms."""
        four = versions == 4
        high, low = high.copy(), low.copy()
        if four.any():
            low[four] = self._met[4].pseudonyms(low[four].astype(_SORTABLE[4]))
        if not four.all():
            halves = np.stack([high[~four], low[~four]], axis=1).astype(">u8")
            halves = self._met[6].pseudonyms(halves.view(_SORTABLE[6]).reshape(-1)).view(">u8").reshape(-1, 2)
            high[~four], low[~four] = halves.T
        return high, low

    def capture(self, capture: Capture, named: bool) -> Capture:
        """The same with what the file says of itself and what routers said of it replaced; its rows are already.

        `named`: its name was chosen for the result and stays.
        """
        name = self._pseudonyms.name
        return replace(
            capture,
            file=capture.file if named else self._pseudonyms.path(os.path.basename(capture.file)),
            interfaces=tuple(self._interface(one) for one in capture.interfaces),
            comments=tuple((frame, name("comment", text)) for frame, text in capture.comments),
            application=name("application", capture.application),
            os=name("os", capture.os),
            hardware=name("hardware", capture.hardware),
            icmp_errors=self._errors(capture.icmp_errors),
        )

    def _interface(self, interface: Interface) -> Interface:
        name = self._pseudonyms.name
        return replace(
            interface,
            name=name("interface", interface.name),
            description=name("description", interface.description),
            os=name("os", interface.os),
            hardware=name("hardware", interface.hardware),
            filter=name("filter", interface.filter),
        )

    def _errors(self, errors: Iterable[IcmpError]) -> tuple[IcmpError, ...]:
        errors = tuple(errors)
        named = self._texts({text for one in errors for text in (one.sender, one.src, one.dst)})
        ports = self._pseudonyms.ports()
        return tuple(
            replace(
                one,
                sender=named[one.sender],
                src=named[one.src],
                dst=named[one.dst],
                sport=int(ports[one.sport]),
                dport=int(ports[one.dport]),
            )
            for one in errors
        )

    def _texts(self, addresses: Iterable[str]) -> dict[str, str]:
        """Addresses in words -> their pseudonyms."""
        parsed = [ip_address(text) for text in sorted(addresses)]
        found: dict[str, str] = {}
        for version in _PACKED:
            originals = [one for one in parsed if one.version == version]
            if not originals:
                continue
            packed = np.frombuffer(b"".join(one.packed for one in originals), _PACKED[version])
            replaced = self._met[version].pseudonyms(packed.astype(_SORTABLE[version]))
            rows = replaced.astype(_PACKED[version]).view(np.uint8).reshape(len(originals), -1)
            found |= {str(one): str(ip_address(row.tobytes())) for one, row in zip(originals, rows, strict=True)}
        return found


class _Met:
    """Addresses of one IP version, sorted, each with its pseudonym."""

    def __init__(self, pseudonyms: Pseudonyms, version: int) -> None:
        self._make: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]] = pseudonyms.addresses
        self._packed = _PACKED[version]
        self._originals: npt.NDArray[Any] = np.empty(0, _SORTABLE[version])
        self._pseudonyms: npt.NDArray[Any] = np.empty(0, _SORTABLE[version])

    def pseudonyms(self, addresses: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Of each address; new ones are learnt."""
        at = self._originals.searchsorted(addresses)
        known = np.zeros(len(addresses), np.bool_)
        if len(self._originals):
            known = self._originals.take(at, mode="clip") == addresses
        if not known.all():
            self._learn(np.unique(addresses[~known] if len(self._originals) <= MOST_KEPT else addresses))
            at = self._originals.searchsorted(addresses)
        return self._pseudonyms[at]

    def _learn(self, fresh: npt.NDArray[Any]) -> None:
        if len(self._originals) > MOST_KEPT:
            self._originals, self._pseudonyms = self._originals[:0], self._pseudonyms[:0]
        made = self._make(fresh.astype(self._packed).view(np.uint8).reshape(len(fresh), -1))
        at = self._originals.searchsorted(fresh)
        self._originals = np.insert(self._originals, at, fresh)
        self._pseudonyms = np.insert(self._pseudonyms, at, made.reshape(-1).view(self._packed).astype(fresh.dtype))
