"""Reports that are safe to attach: no original gets out, and what the report says is the same but for the names."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import re
import sqlite3
import stat
import struct
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from capture import builders as make
from hypothesis import given, settings
from hypothesis import strategies as st
from yacryptopan import CryptoPAn

from pcapreport.batch import discover, session
from pcapreport.batch.work import Order
from pcapreport.capture import Capture, read_capture
from pcapreport.capture.packet_table import PacketTable
from pcapreport.cli import main
from pcapreport.errors import UnreadableCapture
from pcapreport.findings.rules import RULES
from pcapreport.pipeline import analyze, read_within, report_on
from pcapreport.pseudonyms import PORT_CLASSES, Pseudonyms, _digest
from pcapreport.report import model
from pcapreport.report.build import DocumentOptions
from pcapreport.report.card import render_card
from pcapreport.settings import EPHEMERAL_PORTS, Reading, Settings

ROOT = Path(__file__).parents[1]
SAMPLE_DIR = ROOT / "sample_pcaps"
SAMPLES = sorted(path for path in SAMPLE_DIR.iterdir() if ".pcap" in path.name)
REFUSED = SAMPLE_DIR / "refused.pcap"
OTHERS = ROOT / ".." / "shared" / "captures" / "files"
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
PSEUDONYMS = Pseudonyms(KEY)
SOME = 40
"""Captures of others that are searched for originals."""


# --- pseudonyms -----------------------------------------------------------------------------------------------------


def shared_bits(a: str, b: str) -> int:
    one, other = ipaddress.ip_address(a), ipaddress.ip_address(b)
    return one.max_prefixlen - (int(one) ^ int(other)).bit_length()


ADDRESSES = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
KEYS = st.binary(min_size=32, max_size=32)


@settings(deadline=None)
@given(ADDRESSES, KEYS)
def test_addresses_are_replaced_by_the_librarys_own_algorithm(address: str, key: bytes) -> None:
    expected = CryptoPAn(_digest(key, "addresses")).anonymize(address)
    assert Pseudonyms(key).address(address) == str(ipaddress.ip_address(expected))


def test_the_librarys_algorithm_is_crypto_pan() -> None:
    """The example that the authors of Crypto-PAn give with it."""
    key = bytes([21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16,
                 216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2])  # fmt: skip
    assert CryptoPAn(key).anonymize("128.11.68.132") == "135.242.180.132"


@settings(deadline=None)
@given(st.integers(0, 128), st.integers(0, (1 << 128) - 1), st.integers(0, (1 << 128) - 1), KEYS)
def test_two_that_share_exactly_n_bits_have_pseudonyms_that_share_exactly_n(n: int, a: int, b: int, key: bytes) -> None:
    pseudonyms = Pseudonyms(key)
    for bits, kind in ((32, ipaddress.IPv4Address), (128, ipaddress.IPv6Address)):
        one = a >> (128 - bits)
        rest = bits - min(n, bits)
        other = (one >> rest << rest) | b & ((1 << rest) - 1)
        first, second = str(kind(one)), str(kind(other))
        shared = shared_bits(first, second)
        assert shared >= min(n, bits)
        assert shared_bits(pseudonyms.address(first), pseudonyms.address(second)) == shared


def test_one_key_gives_one_name_and_another_key_another() -> None:
    again, other = Pseudonyms(bytes(KEY)), Pseudonyms(OTHER_KEY)
    for ask in (
        lambda p: p.address("192.0.2.1"),
        lambda p: p.address("2001:db8::1"),
        lambda p: p.name("host", "example"),
        lambda p: p.path("a/b.pcap"),
        lambda p: p.mac(b"\0\1\2\3\4\5"),
        lambda p: p.key_id,
    ):
        assert ask(PSEUDONYMS) == ask(again) != ask(other)
    assert Pseudonyms.of_this_run() != Pseudonyms.of_this_run()


def test_names_tell_their_kind_and_nothing_more() -> None:
    assert re.fullmatch(r"host-[0-9a-f]{8}", PSEUDONYMS.name("host", "mail.example"))
    assert PSEUDONYMS.name("host", "a") != PSEUDONYMS.name("comment", "a").replace("comment", "host")
    assert PSEUDONYMS.name("host", "") == ""


def test_paths_keep_their_depth_and_what_tells_the_kind_of_capture() -> None:
    words = "[0-9a-f]{8}"
    assert re.fullmatch(rf"capture-{words}\.pcap\.gz", PSEUDONYMS.path("Customer 7.PCAP.gz"))
    assert re.fullmatch(rf"capture-{words}", PSEUDONYMS.path("trace.customer"))
    deep = PSEUDONYMS.path("night/mon/a.pcapng")
    assert re.fullmatch(rf"folder-{words}/folder-{words}/capture-{words}\.pcapng", deep)
    assert deep.split("/")[2] == PSEUDONYMS.path("a.pcapng")
    for suffix in (*discover.CAPTURE_SUFFIXES, *discover.COMPRESSED_SUFFIXES):
        assert PSEUDONYMS.path(f"x{suffix}").endswith(suffix)


@given(st.binary(min_size=6, max_size=6))
def test_a_mac_address_becomes_one_of_no_vendor_to_a_group_if_it_was(address: bytes) -> None:
    replaced = PSEUDONYMS.mac(address)
    if address in (bytes(6), b"\xff" * 6):
        assert replaced == address
    else:
        assert replaced[0] & 3 == 2 | address[0] & 1 and len(replaced) == 6 and replaced != address


def test_ports_are_permuted_within_each_class() -> None:
    ports = Pseudonyms(KEY, with_ports=True).ports()
    for first, end in zip(PORT_CLASSES[:-1], PORT_CLASSES[1:], strict=True):
        assert sorted(ports[first:end].tolist()) == list(range(first, end)) != ports[first:end].tolist()
    assert {1_024, 49_152} <= set(PORT_CLASSES)
    assert {first for first, _ in EPHEMERAL_PORTS.values()} <= set(PORT_CLASSES)
    assert {last + 1 for _, last in EPHEMERAL_PORTS.values()} <= set(PORT_CLASSES)
    assert ports.tolist() != Pseudonyms(OTHER_KEY, with_ports=True).ports().tolist()
    assert PSEUDONYMS.ports().tolist() == list(range(1 << 16))


def test_the_key_is_not_shown_by_accident() -> None:
    assert KEY.hex() not in repr(PSEUDONYMS) and repr(KEY) not in repr(PSEUDONYMS)
    assert PSEUDONYMS.key_id not in KEY.hex()


# --- what a capture says --------------------------------------------------------------------------------------------


def telling() -> bytes:
    """A capture that names all it can: comments, interface, host, resolved names, addresses, an ICMP error."""
    about = make.option(1, b"from the desk of alice") + make.option(2, b"Lenovo 4711")
    about += make.option(3, b"Debian of acme") + make.option(4, b"sniffer9 on alice-laptop")
    card = make.option(2, b"uplink-to-acme") + make.option(3, b"port 3, rack B") + make.option(12, b"Debian of acme")
    card += make.option(11, b"\0host 10.11.12.13") + make.option(15, b"e1000 of acme") + make.option(1, b"card comment")
    syn = make.ipv4(make.tcp(flags=2, seq=77), src="10.11.12.13", dst="203.0.113.9")
    refusal = make.ipv4(bytes([3, 3, 0, 0]) + bytes(4) + syn, 1, src="172.16.99.1", dst="10.11.12.13")
    six = make.ipv6(make.tcp(flags=2), src="2001:db8:aa::17", dst="2001:db8:bb::18")
    names = make.block(4, b"\1\0\x0e\0" + bytes([10, 11, 12, 13]) + b"mail.acme\0" + bytes(2) + bytes(4))
    return b"".join(
        [
            make.section(options=about),
            make.interface(options=card),
            names,
            make.enhanced(make.ethernet(syn), options=make.option(1, b"look here, bob")),
            make.enhanced(make.ethernet(refusal)),
            make.enhanced(make.ethernet(six, 0x86DD)),
        ]
    )


TELLING = (
    "alice", "Lenovo", "4711", "Debian", "acme", "sniffer9", "uplink", "rack B", "e1000", "card comment", "bob",
    "10.11.12.13", "203.0.113.9", "172.16.99.1", "2001:db8", "mail",
)  # fmt: skip


def hidden(data: bytes, pseudonyms: Pseudonyms = PSEUDONYMS) -> Capture:
    return read_capture(BytesIO(data), name="made", pseudonyms=pseudonyms)


def test_nothing_of_a_capture_that_names_all_it_can_is_left() -> None:
    capture = hidden(telling())
    assert len(capture.comments) == 3 and len(capture.icmp_errors) == 1 and capture.other_blocks
    assert not [word for word in TELLING if word in repr(capture)]
    (card,) = capture.interfaces
    assert (card.name, card.os) == (PSEUDONYMS.name("interface", "uplink-to-acme"), capture.os)
    assert card.filter.startswith("filter-") and card.description.startswith("description-")
    document = analyze(BytesIO(telling()), name="made", reading=Reading(pseudonyms=PSEUDONYMS))
    assert not [word for word in TELLING if word in repr(document)]


def test_the_rows_answers_openings_and_icmp_errors_have_the_same_pseudonyms() -> None:
    capture = hidden(telling())
    client, server = PSEUDONYMS.address("10.11.12.13"), PSEUDONYMS.address("203.0.113.9")
    (error,) = capture.icmp_errors
    assert (error.sender, error.src, error.dst) == (PSEUDONYMS.address("172.16.99.1"), client, server)
    assert set(addresses_of(capture)) == {
        client, server, PSEUDONYMS.address("2001:db8:aa::17"), PSEUDONYMS.address("2001:db8:bb::18"), error.sender
    }  # fmt: skip
    opened = {str(text_of(one["ip_version"], one["src_hi"], one["src_lo"])) for one in capture.openings}
    assert opened == {client, PSEUDONYMS.address("2001:db8:aa::17")}


def test_ports_are_replaced_everywhere_or_nowhere() -> None:
    ports = Pseudonyms(KEY, with_ports=True)
    capture, table = hidden(telling(), ports), ports.ports()
    (error,) = capture.icmp_errors
    assert (error.sport, error.dport) == (table[40_000], table[80])
    assert set(capture.table["sport"].tolist()) == {table[40_000]}
    assert set(hidden(telling()).table["dport"].tolist()) == {80}


def test_the_file_name_that_the_library_would_take_is_hidden_too(tmp_path: Path) -> None:
    path = tmp_path / "of-acme.pcap"
    path.write_bytes(REFUSED.read_bytes())
    document = analyze(path, reading=Reading(pseudonyms=PSEUDONYMS))
    assert document.capture.file == PSEUDONYMS.path("of-acme.pcap")


@settings(deadline=None)  # the first call builds tables
@given(st.lists(st.tuples(st.booleans(), st.integers(0, (1 << 128) - 1)), max_size=30), st.integers(0, 3))
def test_columns_of_both_versions_are_replaced_row_by_row(rows: list[tuple[bool, int]], seen: int) -> None:
    """Addresses that end in zeros, ones met before, and blocks of one version alone included."""
    from pcapreport.capture.anonymize import Anonymizer

    originals = [(6, one) if six else (4, one >> 96 << 8 & 0xFFFF_FFFF) for six, one in rows]
    anonymizer = Anonymizer(PSEUDONYMS)
    for _ in range(seen + 1):
        columns = {name: np.zeros(len(rows), column.dtype) for name, column in PacketTable.empty().columns.items()}
        columns["ip_version"][:] = [version for version, _ in originals]
        columns["src_hi"][:] = [number >> 64 for _, number in originals]
        columns["src_lo"][:] = [number & (1 << 64) - 1 for _, number in originals]
        table = anonymizer.table(PacketTable(columns, np.empty((0, 4, 2), np.uint32), ()))
    expected = [PSEUDONYMS.address(str(text_of(v, n >> 64, n & (1 << 64) - 1))) for v, n in originals]
    found = zip(table["ip_version"], table["src_hi"], table["src_lo"], strict=True)
    assert [str(text_of(*one)) for one in found] == expected


def test_an_anonymizer_forgets_before_it_grows_too_large_and_names_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from pcapreport.capture import anonymize

    monkeypatch.setattr(anonymize, "MOST_KEPT", 3)
    capture = read_capture(SAMPLE_DIR / "two-taps.pcapng")
    anonymizer, chance = anonymize.Anonymizer(PSEUDONYMS), random.Random(2)
    for _ in range(5):
        numbers = [chance.randrange(1 << 32) for _ in range(len(capture.table))]
        columns = {**capture.table.columns, "src_lo": np.array(numbers, np.uint64)}
        table = anonymizer.table(PacketTable(columns, capture.table.sack_blocks, ()))
        expected = [PSEUDONYMS.address(str(ipaddress.IPv4Address(number))) for number in numbers]
        assert [str(ipaddress.IPv4Address(int(low))) for low in table["src_lo"]] == expected


def text_of(version: int, high: int, low: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.IPv4Address(int(low)) if version == 4 else ipaddress.IPv6Address(int(high) << 64 | int(low))


def addresses_of(capture: Capture) -> Iterator[str]:
    """All that rows and ICMP errors name."""
    for way in ("src", "dst"):
        columns = [capture.table[name].tolist() for name in ("ip_version", f"{way}_hi", f"{way}_lo")]
        yield from (str(text_of(*one)) for one in set(zip(*columns, strict=True)))
    for error in capture.icmp_errors:
        yield from (error.sender, error.src, error.dst)


# --- the same report but for the names ------------------------------------------------------------------------------


def told(path: Path, pseudonyms: Pseudonyms | None, memory: int | None = None) -> dict[str, Any]:
    """The document, as JSON has it, checksums looked at."""
    capture = read_within(memory, path, "a.pcap", Reading(checksums=True, pseudonyms=pseudonyms))
    found: dict[str, Any] = json.loads(b"".join(report_on(capture, Settings(), DocumentOptions()).json()))
    return found


class Names:
    """Originals -> pseudonyms within texts, and within a whole document."""

    def __init__(self, originals: Iterable[str], pseudonyms: Pseudonyms) -> None:
        self._of = {one: pseudonyms.address(one) for one in originals}
        longest_first = sorted(map(re.escape, self._of), key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![\w.])(?<!\w:)(?<!::)({'|'.join(longest_first)})(?![0-9a-f]|\.\d)")

    def text(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._of[found[0]], text) if self._of else text

    def finding_id(self, text: str) -> str:
        rule, side, scope = text.split(":", 2)
        return f"{rule}:{side}:{self.text(scope)}"

    def whole(self, value: Any) -> Any:
        """All but what is computed of names: anchors, and what replaces texts of the capture."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.whole(one) for one in value]
        if not isinstance(value, dict):
            return value
        finding = {"id": self.finding_id(value["id"])} if isinstance(value.get("id"), str) else {}
        left_out = {"anchor", "id"} if finding else {"anchor"}
        return {self.text(k): self.whole(v) for k, v in value.items() if k not in left_out} | finding


NOBODY = Names((), PSEUDONYMS)
TEXTS = ("comments", "application", "os", "hardware", "interfaces")


def without_texts(document: dict[str, Any]) -> dict[str, Any]:
    capture = {name: value for name, value in document["capture"].items() if name not in TEXTS}
    across = {**document["across"], "known_by": len(document["across"]["known_by"])}
    return {**document, "capture": capture, "across": across}


def by_address(document: Any) -> Any:
    """With the busiest hosts in another order: those that sent and received equally much stand by their addresses."""
    talkers = sorted(document["across"]["talkers"], key=lambda one: one["address"])
    return {**document, "across": {**document["across"], "talkers": talkers}}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_is_told_the_same_but_for_the_names(path: Path) -> None:
    plain, replaced = told(path, None), told(path, PSEUDONYMS)
    names = Names(set(addresses_of(read_capture(path))), PSEUDONYMS)
    expected, found = names.whole(without_texts(plain)), NOBODY.whole(without_texts(replaced))
    assert by_address(found) == by_address(expected)
    assert len(plain["capture"]["comments"]) == len(replaced["capture"]["comments"])
    assert replaced["capture"]["sha256"] == plain["capture"]["sha256"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_with_other_ports_too_a_sample_is_judged_the_same(path: Path) -> None:
    """Texts hold ports in too many ways to be mapped back; what was judged must not depend on any."""
    pseudonyms = Pseudonyms(KEY, with_ports=True)
    plain, replaced, ports = told(path, None), told(path, pseudonyms), pseudonyms.ports()
    assert [judged(c) for c in replaced["connections"]] == [judged(c) for c in plain["connections"]]
    for before, after in zip(plain["connections"], replaced["connections"], strict=True):
        for side in ("client", "server"):
            assert after[side]["address"] == pseudonyms.address(before[side]["address"])
            assert after[side]["port"] == ports[before[side]["port"]]
    assert replaced["totals"] == plain["totals"] and replaced["wireshark"] == plain["wireshark"]
    verdicts = [(doc["verdict"]["side"], doc["verdict"]["findings"]) for doc in (plain, replaced)]
    assert verdicts[0] == verdicts[1]


def judged(connection: dict[str, Any]) -> Any:
    findings = [
        {name: f[name] for name in ("rule", "severity", "confidence", "side", "frames", "time_s")}
        for f in connection["findings"]
    ]
    return connection["opening"], connection["closing"], connection["endpoints"], connection["metrics"], findings


def test_captures_that_go_through_files_are_told_the_same() -> None:
    path = SAMPLE_DIR / "many-short-connections.pcap"
    assert told(path, PSEUDONYMS, 20_000) == told(path, PSEUDONYMS)


@pytest.mark.skipif(not OTHERS.is_dir(), reason=f"the captures of others are not at {OTHERS}")
def test_captures_of_others_are_told_the_same_but_for_the_names() -> None:
    """All but the order of hosts that held equally many TIME-WAITs at one moment: those stand by their addresses."""
    looked_at = 0
    for path in some_of_others(SOME):
        plain, replaced = told(path, None), told(path, PSEUDONYMS)
        names = Names(set(addresses_of(read_capture(path))), PSEUDONYMS)
        expected, found = names.whole(without_texts(plain)), NOBODY.whole(without_texts(replaced))
        for document in (expected, found):
            document["hosts"].sort(key=lambda host: host["address"])
            document.pop("messages")
        assert by_address(found) == by_address(expected), path.name
        looked_at += 1
    assert looked_at == SOME


# --- the output directory -------------------------------------------------------------------------------------------


class Originals(NamedTuple):
    """What must not get out."""

    addresses: set[str]
    texts: set[str]
    """Comments, names of interfaces and programs, capture filters."""
    paths: set[str]
    """File names, and the components of paths."""


@cache
def some_of_others(count: int) -> tuple[Path, ...]:
    """Captures of others with segments, those first that say the most beside them."""
    found = []
    for path in sorted(OTHERS.rglob("*")):
        if path.is_file() and path.stat().st_size < 1 << 18:
            try:
                capture = read_capture(path)
            except UnreadableCapture:
                continue
            if len(capture.table):
                found.append((-len(texts_of(capture)) - len(capture.icmp_errors), path))
    return tuple(path for _, path in sorted(found)[:count])


def texts_of(capture: Capture) -> set[str]:
    told = {capture.application, capture.os, capture.hardware, *(text for _, text in capture.comments)}
    for one in capture.interfaces:
        told |= {one.name, one.description, one.os, one.hardware, one.filter}
    return {text for text in told if text}


def originals(folder: Path) -> Originals:
    """Of all captures below this directory; but a file named by its own SHA-256 is named by what reports keep."""
    found = Originals(set(), set(), set())
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        found.paths.update(relative.parts)
        if path.is_file():
            capture = read_capture(path)
            found.paths.update({relative.stem} - {capture.sha256})
            found.paths.difference_update({capture.sha256})
            found.addresses.update(addresses_of(capture))
            found.texts.update(texts_of(capture))
    return found


def contents(out: Path) -> Iterator[tuple[str, str]]:
    """(place, text) of all that a run wrote: names, files, and the members of its bundles."""
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        yield "name", name
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as bundle:
                for member in bundle.namelist():
                    yield f"name in {name}", member
                    if not member.endswith(".png"):  # see below
                        yield f"{name}: {member}", bundle.read(member).decode("utf-8", "replace")
        elif path.is_file() and path.suffix != ".png":
            yield name, path.read_bytes().decode("utf-8", "replace")


def forms(address: str) -> set[str]:
    """Ways to write it."""
    parsed = ipaddress.ip_address(address)
    return {address, address.upper(), parsed.exploded, parsed.reverse_pointer, parsed.packed.hex()}


def hits(words: Iterable[str], texts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(place, word): where any of these stands by itself, as written or as JSON and HTML write it."""
    spelled = {one for word in words for one in (word, json.dumps(word)[1:-1], word.replace("&", "&amp;"))}
    if not spelled:
        return []
    longest_first = sorted(map(re.escape, spelled), key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w.:-])(?:{'|'.join(longest_first)})(?![\w-]|[.:]\w)")
    return [(place, found[0]) for place, text in texts for found in pattern.finditer(text)]


def our_words(tmp: Path) -> str:
    """What reports say by themselves: a name that is also a word of theirs ("test", "any") cannot be looked for."""
    out = tmp / "plain"
    session.run(session.Request((str(REFUSED),), Order(out, frozenset(("html", "json", "md")))))
    pages = [path.read_text() for path in out.rglob("*.*") if path.suffix in (".html", ".json", ".md")]
    return "\n".join([*pages, *(repr(doc) for doc in RULES.values())])


@pytest.mark.skipif(not OTHERS.is_dir(), reason=f"the captures of others are not at {OTHERS}")
def test_no_original_gets_into_the_output_directory(tmp_path: Path) -> None:
    """Pictures and bundles, which hold the same once more, are looked into below."""
    given = tmp_path / "given"
    for path in some_of_others(SOME):
        target = given / path.relative_to(OTHERS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (given / "acme-unreadable.pcap").write_bytes(b"no capture of alice")
    order = Order(
        tmp_path / "out", frozenset(("html", "json", "md")), reading=Reading(pseudonyms=PSEUDONYMS),
        effective={"anonymize": True, "key_id": PSEUDONYMS.key_id},
    )  # fmt: skip
    entries = session.run(session.Request((str(given),), order, jobs=2))
    assert len(entries) == SOME + 1
    (given / "acme-unreadable.pcap").write_bytes(REFUSED.read_bytes())
    found, texts, ours = originals(given), list(contents(tmp_path / "out")), our_words(tmp_path)
    assert len(found.addresses) > 60 and len(found.texts) > 20 and len(found.paths) > 60
    assert hits({form for address in found.addresses for form in forms(address)}, texts) == []
    told = {word for word in found.texts | found.paths if not hits([word], [("ours", ours)])}
    assert len(told) > 0.95 * len(found.texts | found.paths)
    assert hits(told | {"acme", "alice", str(tmp_path), *machine()}, texts) == []
    names = {entry.file for entry in entries}
    assert len(names) == SOME + 1 and all(re.match(r"(folder-\w{8}/)+capture-\w{8}|capture-", name) for name in names)


def test_a_picture_says_what_the_document_says_and_carries_nothing_else(tmp_path: Path) -> None:
    document = analyze(BytesIO(telling()), name=PSEUDONYMS.path("acme.pcapng"), reading=Reading(pseudonyms=PSEUDONYMS))
    picture = render_card(document)
    assert picture == render_card(model.decode(model.encode(document))), "drawn from the document alone"
    chunks, at = {}, 8
    while at < len(picture):
        size, kind = struct.unpack_from(">I4s", picture, at)
        chunks[kind] = picture[at + 8 : at + 8 + size]
        at += 12 + size
    assert set(chunks) <= {b"IHDR", b"pHYs", b"tEXt", b"IDAT", b"IEND"}
    assert chunks.get(b"tEXt", b"Software").startswith(b"Software")


def machine() -> set[str]:
    """What would tell whose machine this is, where it is longer than a word of ours could be."""
    names = {os.uname().nodename, os.environ.get("USER", ""), os.path.expanduser("~"), str(ROOT)}
    return {name for name in names if len(name) > 4}


def test_a_sample_leaves_no_original_in_any_format_or_in_the_manifest(tmp_path: Path) -> None:
    given = tmp_path / "acme" / "night-shift"
    given.mkdir(parents=True)
    (given / "of-alice.pcapng").write_bytes(telling())
    formats = frozenset(("html", "json", "md", "png", "zip"))
    order = Order(tmp_path / "out", formats, reading=Reading(pseudonyms=PSEUDONYMS), effective={"anonymize": True})
    (entry,) = session.run(session.Request((str(tmp_path / "acme"),), order))
    assert entry.file == PSEUDONYMS.path("night-shift/of-alice.pcapng") and entry.status == "ok"
    found = list(contents(tmp_path / "out"))
    assert len([place for place, _ in found if place.startswith("name in ")]) == 5, "the members of the bundle"
    assert not [(place, word) for place, text in found for word in (*TELLING, "night") if word in text]
    with sqlite3.connect(tmp_path / "out" / ".pcapreport.sqlite") as manifest:
        assert manifest.execute("select name from done").fetchall() == [(entry.file,)]


def test_names_that_meet_are_told_apart_and_standard_input_keeps_its_name(tmp_path: Path) -> None:
    for folder in ("x/day", "y/day", "z"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.pcap").write_bytes(REFUSED.read_bytes())
    jobs = discover.discover([*(str(tmp_path / one) for one in ("x/day", "y/day", "z")), "-"], PSEUDONYMS).jobs
    day = PSEUDONYMS.path("day/a.pcap")
    assert [job.name for job in jobs] == [day, f"{day}-2", PSEUDONYMS.path("z/a.pcap"), "stdin"]


# --- the command line -----------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Here = Callable[..., Outcome]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """The command line in this process, in a directory of its own that has a capture in it."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PCAPREPORT_")]:
        monkeypatch.delenv(name)
    (tmp_path / "acme.pcap").write_bytes(REFUSED.read_bytes())

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["pcapreport", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        assert isinstance(code, int)
        return Outcome(code, *capfd.readouterr())

    return call


def documents(out: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_bytes()) for path in out.glob("*.json") if path.name != "index.json"}


def test_a_key_file_that_is_not_there_is_made_and_then_used(here: Here, tmp_path: Path) -> None:
    shown = here("report", "acme.pcap", "--anonymize", "--key-file", "key")
    assert shown.code == 0 and shown.out == "pcapreport-out/index.html\n"
    assert shown.err.splitlines()[0].startswith("key: a new key was made")
    key = (tmp_path / "key").read_text()
    assert re.fullmatch(r"[0-9a-f]{64}\n", key)
    assert os.name != "posix" or stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    pseudonyms = Pseudonyms(bytes.fromhex(key))
    ((name, document),) = documents(tmp_path / "pcapreport-out").items()
    assert name == f"{pseudonyms.path('acme.pcap')}.json"
    told = {"anonymize": True, "anonymize_ports": False, "key_id": pseudonyms.key_id}
    assert told.items() <= document["options"].items()
    index = json.loads((tmp_path / "pcapreport-out" / "index.json").read_bytes())
    assert (index["anonymize"], index["key_id"]) == (True, pseudonyms.key_id)
    assert not [place for place, text in contents(tmp_path / "pcapreport-out") if key.strip() in text]

    again = here("report", "acme.pcap", "--anonymize", "--key-file", "key")
    assert again.err == "1 of 1 captures done, 1 of them by an earlier run\n"


def test_the_page_the_ticket_and_the_terminal_say_so(here: Here, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY.hex())
    here("report", "acme.pcap", "--anonymize", "--key-file", "key", "--format", "html,md")
    words = f"Addresses, names, comments and paths are replaced; key id {PSEUDONYMS.key_id}."
    filters = "Filters with addresses do not match the original capture, those with frame numbers do."
    stem = tmp_path / "pcapreport-out" / PSEUDONYMS.path("acme.pcap")
    for written in (f"{stem}.html", f"{stem}.md"):
        assert words in Path(written).read_text() and filters in Path(written).read_text()
    assert PSEUDONYMS.key_id in (tmp_path / "pcapreport-out" / "index.html").read_text()
    shown = here("show", "acme.pcap", "--anonymize-ports", "--key-file", "key")
    assert "Addresses, ports, names" in shown.out and PSEUDONYMS.path("acme.pcap") in shown.out
    assert "acme" not in shown.out and "192.0.2" not in shown.out and PSEUDONYMS.address("192.0.2.1") in shown.out


def test_without_a_key_file_two_runs_differ(here: Here, tmp_path: Path) -> None:
    for out in ("a", "b"):
        assert here("report", "acme.pcap", "--anonymize", "-o", out, "--format", "json").code == 0
    (one,), (other,) = documents(tmp_path / "a").values(), documents(tmp_path / "b").values()
    assert one["options"]["key_id"] != other["options"]["key_id"]
    assert one["connections"][0]["client"]["address"] != other["connections"][0]["client"]["address"]


def test_another_key_does_all_again_and_forgets_the_names_of_before(here: Here, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY.hex())
    (tmp_path / "other").write_text(OTHER_KEY.hex())
    assert "earlier run" not in here("report", "acme.pcap", "--format", "json").err
    shown = here("report", "acme.pcap", "--format", "json", "--anonymize", "--key-file", "key")
    assert "pcapreport-out also holds files of other runs" in shown.err and "earlier run" not in shown.err
    assert b"acme" not in (tmp_path / "pcapreport-out" / ".pcapreport.sqlite").read_bytes()
    shown = here("report", "acme.pcap", "--format", "json", "--anonymize", "--key-file", "other")
    assert "earlier run" not in shown.err
    shown = here("report", "acme.pcap", "--format", "json", "--anonymize-ports", "--key-file", "other")
    assert "earlier run" not in shown.err


def test_only_standard_error_says_which_is_which(here: Here, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY.hex())
    (tmp_path / "bad.pcap").write_bytes(b"text")
    shown = here("report", "acme.pcap", "bad.pcap", "-v", "--format", "json", "--anonymize", "--key-file", "key")
    assert f"acme.pcap is {PSEUDONYMS.path('acme.pcap')}: " in shown.err
    assert f"bad.pcap is {PSEUDONYMS.path('bad.pcap')}: byte 0: is text" in shown.err
    assert not hits(["acme", "bad"], contents(tmp_path / "pcapreport-out"))


@pytest.mark.parametrize("content", [b"", b"foo", b"00" * 31, b"00" * 33, b"zz" * 32, bytes(range(64))])
def test_a_bad_key_file_is_one_line(content: bytes, here: Here, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    for command in ("report", "show"):
        shown = here(command, "acme.pcap", "--anonymize", "--key-file", "key")
        assert (shown.code, shown.out) == (2, "")
        assert shown.err.startswith("pcapreport: --key-file key: is no key") and shown.err.count("\n") == 1
    assert (tmp_path / "key").read_bytes() == content and not (tmp_path / "pcapreport-out").exists()


def test_a_key_file_that_cannot_be_made_is_one_line(here: Here) -> None:
    shown = here("show", "acme.pcap", "--anonymize", "--key-file", "nowhere/key")
    assert shown.code == 2 and "nowhere/key: No such file or directory" in shown.err and shown.err.count("\n") == 1


def test_a_key_for_nothing_is_an_error_and_one_of_the_configuration_waits(here: Here, tmp_path: Path) -> None:
    shown = here("show", "acme.pcap", "--key-file", "key")
    assert (shown.code, shown.out) == (2, "") and "--anonymize" in shown.err and not (tmp_path / "key").exists()
    (tmp_path / "pyproject.toml").write_text('[tool.pcapreport]\nkey-file = "key"\n')
    assert here("show", "acme.pcap").code == 0 and not (tmp_path / "key").exists()
    assert here("show", "acme.pcap", "--anonymize").code == 0 and (tmp_path / "key").exists()


def test_without_the_library_one_line_says_how_to_get_it(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    from pcapreport import pseudonyms

    pseudonyms._crypto_pan.cache_clear()
    monkeypatch.setitem(sys.modules, "yacryptopan", None)
    shown = here("show", "acme.pcap", "--anonymize")
    assert (shown.code, shown.out) == (2, "")
    assert "pip install 'pcapreport[anon]'" in shown.err and shown.err.count("\n") == 1


def test_a_baseline_must_have_the_same_key(here: Here, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY.hex())
    anonymize = ("--anonymize", "--key-file", "key", "--format", "json")
    here("report", "acme.pcap", "--format", "json", "-o", "plain")
    here("report", "acme.pcap", *anonymize, "-o", "before")
    (before,) = (path for path in (tmp_path / "before").glob("*.json") if path.name != "index.json")
    shown = here("report", "acme.pcap", *anonymize, "--baseline", "plain/acme.pcap.json")
    assert shown.code == 2 and "was not anonymised with this key" in shown.err
    assert here("report", "acme.pcap", *anonymize, "--baseline", before, "-o", "one").code == 0
    assert here("report", "acme.pcap", *anonymize, "--baseline", "before", "-o", "all").code == 0
    for out in ("one", "all"):
        ((_, document),) = documents(tmp_path / out).items()
        assert document["baseline"]["unchanged"] and not document["baseline"]["gone"]
        assert not hits(["acme"], contents(tmp_path / out))


def test_random_addresses_keep_their_prefixes_through_the_whole_line() -> None:
    """As a reader of the JSON meets them."""
    chance = random.Random(1)
    hosts = [f"10.{chance.randrange(4)}.{chance.randrange(4)}.{chance.randrange(256)}" for _ in range(40)]
    frames = [
        make.ethernet(make.ipv4(make.tcp(flags=2, sport=1000 + n), src=host, dst="10.0.0.1"))
        for n, host in enumerate(hosts)
    ]
    document = analyze(BytesIO(make.pcap(frames)), name="a", reading=Reading(pseudonyms=PSEUDONYMS))
    replaced = {c.client.port - 1000: c.client.address for c in document.connections}
    for a, one in enumerate(hosts):
        for b, other in enumerate(hosts):
            assert shared_bits(replaced[a], replaced[b]) == shared_bits(one, other)
