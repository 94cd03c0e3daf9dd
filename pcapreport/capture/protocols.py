"""Names of numbers: link types, EtherTypes and IP protocols, as the other_packets counts and the pages show them.

Sources: tcpdump.org/linktypes.html; IANA "IEEE 802 Numbers" and "Assigned Internet Protocol Numbers".
"""

from __future__ import annotations

from collections.abc import Mapping

from pcapreport.language import phrase

LINK_TYPES: Mapping[int, str] = {
    0: "BSD loopback",
    1: "Ethernet",
    6: "Token Ring",
    7: "ARCNET",
    8: "SLIP",
    9: "PPP",
    10: "FDDI",
    12: "raw IP",
    14: "raw IP",
    50: "PPP serial",
    51: "PPPoE",
    99: "Symantec firewall",
    100: "ATM RFC 1483",
    101: "raw IP",
    104: "Cisco HDLC",
    105: "IEEE 802.11",
    106: "ATM CLIP",
    107: "Frame Relay",
    108: "OpenBSD loopback",
    109: "OpenBSD encapsulated IP",
    113: "Linux cooked",
    114: "LocalTalk",
    117: "OpenBSD pflog",
    119: "IEEE 802.11 Prism",
    122: "IP over Fibre Channel",
    123: "SunATM",
    127: "IEEE 802.11 radiotap",
    129: "Linux ARCNET",
    132: "Juniper ES",
    137: "Juniper ATM1",
    140: "MTP2",
    147: "user 0",
    163: "IEEE 802.11 AVS",
    165: "BACnet MS/TP",
    178: "Juniper Ethernet",
    182: "Juniper Frame Relay",
    187: "Bluetooth HCI H4",
    189: "USB Linux",
    192: "PPI",
    195: "IEEE 802.15.4",
    201: "Bluetooth HCI H4 with direction",
    220: "USB Linux mmapped",
    226: "Solaris ipnet",
    227: "SocketCAN",
    228: "raw IPv4",
    229: "raw IPv6",
    230: "IEEE 802.15.4 without FCS",
    239: "Linux NFLOG",
    242: "IP over InfiniBand",
    247: "InfiniBand",
    249: "USBPcap",
    251: "Bluetooth LE",
    253: "Netlink",
    255: "Bluetooth BR/EDR",
    256: "Bluetooth LE RF",
    258: "Apple pktap",
    270: "LoRaTap",
    272: "Nordic BLE",
    274: "Ethernet mpacket",
    276: "Linux cooked v2",
    281: "Broadcom tag",
    282: "Broadcom tag prepended",
    284: "Marvell DSA",
    285: "Marvell EDSA",
}

ETHERTYPES: Mapping[int, str] = {
    0x0800: "IPv4",
    0x0806: "ARP",
    0x0842: "Wake-on-LAN",
    0x2000: "CDP",
    0x22F0: "AVTP",
    0x6558: "Transparent Ethernet bridging",
    0x8035: "RARP",
    0x809B: "AppleTalk",
    0x80F3: "AppleTalk ARP",
    0x8100: "VLAN",
    0x8137: "IPX",
    0x86DD: "IPv6",
    0x8808: "Ethernet flow control",
    0x8809: "Ethernet slow protocols",
    0x8847: "MPLS",
    0x8848: "MPLS",
    0x8863: "PPPoE discovery",
    0x8864: "PPPoE session",
    0x888E: "EAPOL",
    0x8892: "PROFINET",
    0x88A2: "ATA over Ethernet",
    0x88A4: "EtherCAT",
    0x88A8: "VLAN",
    0x88B8: "GOOSE",
    0x88CC: "LLDP",
    0x88E1: "HomePlug",
    0x88E5: "MACsec",
    0x88E7: "Provider backbone bridging",
    0x88F7: "PTP",
    0x8902: "Ethernet CFM",
    0x8906: "FCoE",
    0x9000: "Ethernet loopback test",
    0x9100: "VLAN",
}

IP_PROTOCOLS: Mapping[int, str] = {
    0: "IPv6 hop-by-hop options",
    1: "ICMP",
    2: "IGMP",
    4: "IPv4 in IP",
    6: "TCP",
    8: "EGP",
    9: "IGRP",
    17: "UDP",
    27: "RDP",
    33: "DCCP",
    41: "IPv6 in IP",
    43: "IPv6 routing header",
    44: "IPv6 fragment",
    46: "RSVP",
    47: "GRE",
    50: "ESP (encrypted)",
    51: "AH",
    58: "ICMPv6",
    59: "IPv6 without next header",
    60: "IPv6 destination options",
    88: "EIGRP",
    89: "OSPF",
    97: "EtherIP",
    103: "PIM",
    112: "VRRP",
    115: "L2TPv3",
    132: "SCTP",
    135: "IPv6 mobility",
    136: "UDP-Lite",
    137: "MPLS in IP",
}


SNOOP_LINK = 0x1_0000
"""Added to a data link number of snoop that has no counterpart among the link types of pcap."""


def link_name(link_type: int) -> str:
    """The link type in words; "unknown" where the table has none."""
    if link_type >= SNOOP_LINK:
        return phrase("snoop data link {number}", number=link_type - SNOOP_LINK)
    return LINK_TYPES.get(link_type) or phrase("unknown")


def link_label(link_type: int) -> str:
    """How frames of a link type that is not decoded are counted."""
    if link_type >= SNOOP_LINK:
        return link_name(link_type)
    return phrase("link type {number} ({name})", number=link_type, name=link_name(link_type))


def ethertype_label(ethertype: int) -> str:
    """How frames of an EtherType that is not decoded are counted."""
    return ETHERTYPES.get(ethertype) or phrase("EtherType 0x{number:04x}", number=ethertype)


def ip_label(protocol: int) -> str:
    """How datagrams of an IP protocol other than TCP are counted."""
    return IP_PROTOCOLS.get(protocol) or phrase("IP protocol {number}", number=protocol)
