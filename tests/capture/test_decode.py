"""What one frame becomes: addresses, lengths, options, notes, encapsulation, and how the rest is counted."""

from __future__ import annotations

import struct
import zlib

import pytest

from pcapreport.capture import Capture, Flag, Option, RowNote

from . import builders as make
from .builders import SEGMENT, read


def one(frame: bytes, link_type: int = 1, wire_len: int | None = None) -> tuple[dict[str, int], Capture]:
    """The only row of a capture of one frame."""
    capture = read(make.pcap_header(link_type=link_type) + make.pcap_record(frame, wire_len=wire_len))
    assert len(capture.table) == 1, capture.other_packets
    return {name: int(column[0]) for name, column in capture.table.columns.items()}, capture


def path_of(capture: Capture) -> str:
    return capture.table.encapsulations[int(capture.table["encapsulation"][0])]


def test_every_field_of_a_plain_segment() -> None:
    row, capture = one(make.ethernet(make.ipv4(make.tcp(b"hello", 1234, 80, 7, 9, 0x118, 500, urgent=3), ttl=61)))
    assert (row["src_lo"], row["dst_lo"]) == (0x0A000001, 0x0A000002)
    assert (row["sport"], row["dport"], row["seq"], row["ack"]) == (1234, 80, 7, 9)
    assert (row["window"], row["urgent"]) == (500, 3)
    assert row["flags"] == Flag.PSH | Flag.ACK | Flag.AE
    assert (row["ttl"], row["ip_id"], row["ip_version"], row["checksum"]) == (61, 7, 4, 0xBEEF)
    assert (row["payload_len"], row["cap_len"], row["wire_len"]) == (5, 59, 59)
    assert (row["mss"], row["window_scale"], row["options"], row["sack"], row["notes"]) == (0, -1, 0, -1, 0)
    assert path_of(capture) == "ethernet"


def test_ipv6_addresses_fill_both_halves() -> None:
    row, _ = one(make.ethernet(make.ipv6(make.tcp(b"x")), 0x86DD))
    assert (row["src_hi"], row["src_lo"]) == (0x20010DB8_00000000, 1)
    assert (row["ip_version"], row["payload_len"], row["ip_id"]) == (6, 1, 0)


def test_ethernet_padding_is_no_payload() -> None:
    row, _ = one(make.ethernet(make.ipv4(make.tcp())) + bytes(6))
    assert row["payload_len"] == 0


def test_a_cut_capture_keeps_the_payload_length_that_was_sent() -> None:
    row, _ = one(SEGMENT[:54], wire_len=len(SEGMENT))
    assert row["payload_len"] == 5
    assert row["notes"] == RowNote.SNAPLEN_CUT


def test_a_zero_ip_length_means_offload_and_the_wire_length_counts() -> None:
    row, _ = one(make.ethernet(make.ipv4(make.tcp(bytes(70_000)), length=0)))
    assert row["payload_len"] == 70_000
    assert row["notes"] == RowNote.NO_IP_LENGTH


@pytest.mark.parametrize(
    ("options", "note"),
    [(b"\x06\0\xc2\x04", 0), (b"\x06\x01\x05\x02\0\0\x01\x02\0\0\xc2\x04", RowNote.DISSECTED)],
    ids=["alone", "behind-others"],
)
def test_the_jumbo_payload_option_tells_the_length_of_a_jumbogram(options: bytes, note: RowNote) -> None:
    """RFC 2675, as Linux writes BIG TCP; what is behind the datagram in the frame is none of it."""
    segment = make.tcp(bytes(70_000))
    extension = options + (len(options) + 4 + len(segment)).to_bytes(4, "big")
    row, _ = one(make.ethernet(make.ipv6(extension + segment, 0, length=0) + b"trailer", 0x86DD))
    assert row["payload_len"] == 70_000
    assert row["notes"] == note


@pytest.mark.parametrize("told", [b"", b"\xc2\x04\0\0\xff\xff", b"\xc2\x02\0\x02\0\0"])
def test_without_a_sound_jumbo_payload_option_the_wire_length_counts(told: bytes) -> None:
    extension = b"\x06\0" + (told or b"\x01\x04\0\0\0\0")
    row, _ = one(make.ethernet(make.ipv6(extension + make.tcp(bytes(70_000)), 0, length=0), 0x86DD))
    assert row["payload_len"] == 70_000
    assert row["notes"] == RowNote.NO_IP_LENGTH | RowNote.DISSECTED


def test_a_segment_cut_within_its_fixed_header_is_counted_not_guessed() -> None:
    capture = read(make.pcap_header() + make.pcap_record(SEGMENT[:50], wire_len=len(SEGMENT)))
    assert capture.other_packets == {"cut TCP header": 1}


def test_options_cut_by_the_capture_are_not_called_malformed() -> None:
    frame = make.ethernet(make.ipv4(make.tcp(b"", options=b"\x02\x04\x05\xb4\x01\x01\x08\x0a" + bytes(8))))
    row, _ = one(frame[: 54 + 7], wire_len=len(frame))
    assert row["mss"] == 1460
    assert row["notes"] == RowNote.SNAPLEN_CUT
    assert row["options"] == Option.MSS


def test_a_data_offset_beyond_the_segment_is_noted() -> None:
    row, _ = one(make.ethernet(make.ipv4(make.tcp(b"abc", offset=15))))
    assert row["notes"] & RowNote.BAD_DATA_OFFSET
    assert row["payload_len"] == 0


def test_reserved_flag_bits_are_noted() -> None:
    row, _ = one(make.ethernet(make.ipv4(make.tcp(flags=0x802))))
    assert row["flags"] == Flag.SYN
    assert row["notes"] == RowNote.RESERVED_FLAGS


def test_the_options_of_a_syn() -> None:
    syn = b"\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x05\x00\x00\x00\x06\x01\x03\x03\x09"
    row, _ = one(make.ethernet(make.ipv4(make.tcp(flags=2, options=syn))))
    assert (row["mss"], row["window_scale"], row["ts_val"], row["ts_ecr"]) == (1460, 9, 5, 6)
    assert row["options"] == Option.MSS | Option.SACK_PERMITTED | Option.TIMESTAMP | Option.WINDOW_SCALE


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\x13\x12" + bytes(16), Option.MD5),
        (b"\x1d\x10" + bytes(14), Option.AUTHENTICATION),
        (b"\x1c\x04\x00\x05", Option.USER_TIMEOUT),
        (b"\x1e\x0c" + bytes(10), Option.MPTCP),
        (b"\x22\x02", Option.FAST_OPEN),
        (b"\xfe\x04\xf9\x89", Option.EXPERIMENTAL | Option.FAST_OPEN),
        (b"\xfd\x04\x12\x34", Option.EXPERIMENTAL),
        (b"\x4d\x04\x00\x00", Option.OTHER),
    ],
)
def test_rarer_options_are_known_by_their_bit(raw: bytes, expected: Option) -> None:
    row, _ = one(make.ethernet(make.ipv4(make.tcp(options=raw))))
    assert row["options"] == expected
    assert not row["notes"]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_sack_blocks_stand_in_the_order_sent(count: int) -> None:
    edges = [(1000 * number, 1000 * number + 500) for number in range(1, count + 1)]
    sack = bytes([5, 2 + 8 * count]) + b"".join(struct.pack(">II", *pair) for pair in edges)
    row, capture = one(make.ethernet(make.ipv4(make.tcp(options=b"\x01\x01" + sack))))
    assert capture.table.sack_blocks[row["sack"]].tolist() == [*map(list, edges), *([[0, 0]] * (4 - count))]


def test_sack_rows_still_fit_after_several_blocks_are_joined() -> None:
    sack = b"\x01\x01\x05\x0a" + struct.pack(">II", 10, 20)
    plain, with_sack = (make.ethernet(make.ipv4(make.tcp(options=raw))) for raw in (b"", sack))
    frames = [with_sack if number % 40_000 == 7 else plain for number in range(90_000)]
    table = read(make.pcap(frames)).table
    assert table["sack"][[7, 40_007, 80_007]].tolist() == [0, 1, 2]
    assert table.sack_blocks[:, 0].tolist() == [[10, 20]] * 3


@pytest.mark.parametrize("broken", [b"\x02\x00\x00\x00", b"\x02\x01\x00\x00", b"\x01\x01\x01\x08", b"\x08\x20\x00\x00"])
def test_options_that_break_off_keep_what_came_before(broken: bytes) -> None:
    row, _ = one(make.ethernet(make.ipv4(make.tcp(options=b"\x03\x03\x04\x01" + broken))))
    assert row["window_scale"] == 4
    assert row["notes"] == RowNote.MALFORMED_OPTIONS


INNER = make.ipv4(make.tcp(b"inner"))
DESTINATION = struct.pack(">BB", 6, 0) + b"\x01\x04\0\0\0\0"
FRAGMENT_OF_ONE = struct.pack(">BBHI", 6, 0, 0, 9)
PPP_IP = b"\xff\x03\x00\x21" + INNER
RADIOTAP = b"\0\0\x08\0\0\0\0\0"
WLAN = b"\x08\x01" + bytes(22) + b"\xaa\xaa\x03\0\0\0\x08\x00" + INNER


def _deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


LABEL_STACK = b"\0\x01\x00\x40\0\x02\x01\x40"
PPPOE = b"\x11\0\0\x07" + struct.pack(">H", len(PPP_IP) - 2)
GRE_WITH_EVERYTHING = b"\xb0\0\x08\0" + bytes(12)
ERSPAN = b"\x10\0\x88\xbe" + bytes(12)
AH = b"\x06\x04" + bytes(22)
VXLAN = b"\x08\0\0\0\0\0\x2a\0"
GENEVE = b"\x01\0\x65\x58\0\0\x07\0" + bytes(4)
GTP = b"\x30\xff\0\0\0\0\0\x01"
GTP_EXTENDED = b"\x34\xff\0\0\0\0\0\x01\0\0\0\x85\x01\0\0\0"
L2TP = b"\0\x02\0\x01\0\x02"


def _over_udp(port: int, payload: bytes) -> bytes:
    return make.ethernet(make.ipv4(make.udp(payload, dport=port), 17))


NESTED = [
    (make.ethernet(INNER, vlans=[5]), 1, "ethernet/vlan 5"),
    (make.ethernet(INNER, vlans=[5, 0]), 1, "ethernet/vlan 5/vlan 0"),
    (make.ethernet(INNER, vlans=[1, 2, 3]), 1, "ethernet/vlan 1/vlan 2/vlan 3"),
    (make.ethernet(bytes(6) + b"\x08\0" + INNER, 0x893F), 1, "ethernet/etag"),
    (make.ethernet(LABEL_STACK + INNER, 0x8847), 1, "ethernet/mpls"),
    (make.ethernet(LABEL_STACK + bytes(4) + make.ethernet(INNER), 0x8847), 1, "ethernet/mpls/ethernet"),
    (make.ethernet(PPPOE + PPP_IP[2:], 0x8864), 1, "ethernet/pppoe/ppp"),
    (make.ethernet(b"\xaa\xaa\x03\0\0\0\x08\0" + INNER, 8 + len(INNER)), 1, "ethernet"),
    (make.ethernet(make.ipv6(DESTINATION + make.tcp(b"inner"), 60), 0x86DD), 1, "ethernet"),
    (make.ethernet(make.ipv6(FRAGMENT_OF_ONE + make.tcp(b"inner"), 44), 0x86DD), 1, "ethernet"),
    (make.ethernet(make.ipv4(INNER, 4)), 1, "ethernet/ipv4"),
    (make.ethernet(make.ipv4(make.ipv6(make.tcp(b"inner")), 41)), 1, "ethernet/ipv4"),
    (make.ethernet(make.ipv4(GRE_WITH_EVERYTHING + INNER, 47)), 1, "ethernet/ipv4/gre"),
    (make.ethernet(make.ipv4(ERSPAN + make.ethernet(INNER), 47)), 1, "ethernet/ipv4/gre/erspan/ethernet"),
    (make.ethernet(make.ipv4(AH + make.tcp(b"inner"), 51)), 1, "ethernet/ah"),
    (make.ethernet(make.ipv4(b"\x06\x00\0\x02" + _deflate(make.tcp(b"inner")), 108)), 1, "ethernet/ipcomp"),
    (_over_udp(4789, VXLAN + make.ethernet(INNER)), 1, "ethernet/ipv4/udp/vxlan 42/ethernet"),
    (_over_udp(6081, GENEVE + make.ethernet(INNER)), 1, "ethernet/ipv4/udp/geneve 7/ethernet"),
    (_over_udp(2152, GTP + INNER), 1, "ethernet/ipv4/udp/gtp"),
    (_over_udp(2152, GTP_EXTENDED + INNER), 1, "ethernet/ipv4/udp/gtp"),
    (_over_udp(1701, L2TP + PPP_IP), 1, "ethernet/ipv4/udp/l2tp/ppp"),
    (_over_udp(3544, make.ipv6(make.tcp(b"inner"))), 1, "ethernet/ipv4/udp/teredo"),
    (PPP_IP, 9, "ppp"),
    (b"\x0f\0\x08\0" + INNER, 104, "hdlc"),
    (RADIOTAP + WLAN, 127, "wlan"),
    (WLAN, 105, "wlan"),
    (INNER, 101, "raw"),
    (b"\x02\0\0\0" + INNER, 0, "null"),
    (bytes(14) + b"\x81\0\0\x09\x08\0" + INNER, 113, "sll/vlan 9"),
    (b"\x08\0" + bytes(18) + INNER, 276, "sll2"),
]


@pytest.mark.parametrize(("frame", "link_type", "path"), NESTED, ids=[path for _, _, path in NESTED])
def test_the_innermost_segment_is_found_and_its_path_told(frame: bytes, link_type: int, path: str) -> None:
    row, capture = one(frame, link_type)
    assert (row["payload_len"], row["sport"], row["seq"]) == (5, 40_000, 1)
    assert path_of(capture) == path


def test_fragments_are_put_together_on_the_frame_that_completes_them() -> None:
    whole = make.tcp(b"x" * 44)
    pieces = [(16, 0x2002, 40), (0, 0x2000, 16), (40, 0x0005, 64)]
    frames = [make.ethernet(make.ipv4(whole[start:end], fragment=word)) for start, word, end in pieces]
    capture = read(make.pcap(frames))
    assert capture.table["frame"].tolist() == [3]
    assert capture.table["payload_len"].tolist() == [44]
    assert int(capture.table["notes"][0]) & RowNote.FRAGMENT
    assert capture.other_packets == {"IPv4 fragment": 2}


def test_a_fragment_without_its_fellows_is_counted() -> None:
    capture = read(make.pcap([make.ethernet(make.ipv4(make.tcp(bytes(4)), fragment=0x2000))]))
    assert capture.other_packets == {"IPv4 fragment": 1}


QUOTED = make.ipv4(make.tcp())
OTHERS = {
    "ARP": make.ethernet(bytes(28), 0x0806),
    "LLDP": make.ethernet(bytes(28), 0x88CC),
    "UDP": make.ethernet(make.ipv4(make.udp(b"x"), 17)),
    "ICMP": make.ethernet(make.ipv4(b"\x03\x03" + bytes(6) + QUOTED, 1)),
    "ICMPv6": make.ethernet(make.ipv6(b"\x01\x04" + bytes(6) + QUOTED, 58), 0x86DD),
    "ESP (encrypted)": make.ethernet(make.ipv4(bytes(40), 50)),
    "ESP in UDP (encrypted)": make.ethernet(make.ipv4(make.udp(b"\0\0\x10\0" + bytes(40), 4500, 4500), 17)),
    "sFlow samples": make.ethernet(make.ipv4(make.udp(b"\0\0\0\x05" + bytes(40), 6343, 6343), 17)),
    "SCTP": make.ethernet(make.ipv4(bytes(40), 132)),
    "IP protocol 200": make.ethernet(make.ipv4(bytes(40), 200)),
    "EtherType 0x1234": make.ethernet(bytes(40), 0x1234),
    "Spanning tree": make.ethernet(b"\x42\x42\x03" + bytes(35), 38),
    "malformed IPv4": make.ethernet(b"\x41" + bytes(40)),
    "malformed TCP": make.ethernet(make.ipv4(make.tcp(offset=4))),
    "cut ethernet header": bytes(9),
}


@pytest.mark.parametrize("label", OTHERS)
def test_frames_that_give_no_row_are_counted_by_what_they_are(label: str) -> None:
    capture = read(make.pcap([OTHERS[label]] * 2))
    assert capture.other_packets == {label: 2}
    assert capture.packets == 2 and not len(capture.table)


def test_key_exchange_and_keep_alives_on_the_port_of_encrypted_datagrams_are_only_udp() -> None:
    frames = [make.ethernet(make.ipv4(make.udp(data, 4500, 4500), 17)) for data in (bytes(40), b"\xff", b"")]
    assert read(make.pcap(frames)).other_packets == {"UDP": 3}


def test_an_undecoded_link_type_is_named() -> None:
    capture = read(make.pcap([bytes(40)], link_type=189))
    assert capture.other_packets == {"link type 189 (USB Linux)": 1}
    assert capture.interfaces[0].link_name == "USB Linux"


def test_common_and_uncommon_frames_stand_in_file_order() -> None:
    tunnelled = make.ethernet(make.ipv4(AH + make.tcp(b"inner"), 51))
    capture = read(make.pcap([tunnelled, SEGMENT, make.ethernet(make.ipv6(make.tcp()), 0x86DD), SEGMENT, tunnelled]))
    assert capture.table["frame"].tolist() == [1, 2, 3, 4, 5]
    dissected = [bool(note & RowNote.DISSECTED) for note in capture.table["notes"].tolist()]
    assert dissected == [True, False, False, False, True]
