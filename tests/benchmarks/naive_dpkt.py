"""What a plain script with dpkt does, for comparison: decode every packet and count flags by 4-tuple, nothing else.

python tests/benchmarks/naive_dpkt.py CAPTURE...
"""

from __future__ import annotations

import sys
from collections import Counter

import dpkt

LINKS = {1: dpkt.ethernet.Ethernet, 101: dpkt.ip.IP, 12: dpkt.ip.IP}


def main() -> None:
    """Print how many 4-tuples and packets there were."""
    for path in sys.argv[1:]:
        flags: Counter[tuple[bytes, bytes, int, int, int]] = Counter()
        with open(path, "rb") as file:
            reader = dpkt.pcap.UniversalReader(file)
            link = LINKS[reader.datalink()]
            for _, data in reader:
                packet = link(data)
                ip = packet if isinstance(packet, dpkt.ip.IP) else packet.data
                if isinstance(ip, dpkt.ip.IP) and isinstance(ip.data, dpkt.tcp.TCP):
                    tcp = ip.data
                    flags[ip.src, ip.dst, tcp.sport, tcp.dport, tcp.flags] += 1
        print(path, len({key[:4] for key in flags}), sum(flags.values()))


if __name__ == "__main__":
    main()
