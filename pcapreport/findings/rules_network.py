"""Manual pages: loss, order, retransmission, window."""

from __future__ import annotations

from pcapreport.findings.model import Severity
from pcapreport.findings.rule_doc import RuleDoc

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR

NETWORK_RULES: tuple[RuleDoc, ...] = (
    RuleDoc(
        "retransmission",
        "Data sent again",
        WARNING,
        "A side sent bytes that it had sent before, after waiting for an acknowledgment in vain. Either the bytes "
        "or their acknowledgment did not arrive in time.",
        "Waiting for the timeout stops the transfer for at least a fifth of a second, and the sender then starts "
        "again slowly.",
        "Congestion or a faulty link on the path; a receiver that was overloaded; a path whose delay jumped above "
        "the sender's timeout.",
        "Look on which side of the tap the first transmission was lost: if it stands in the capture, it was lost "
        "behind the tap. Compare with a capture from the other end.",
        "Bytes lost before the tap are recognised only by the gap they leave, by skipped IP IDs or by a pause in "
        "mid-write; a single lost last segment may go unseen.",
        ("RFC 6298 section 5",),
        "tcp.analysis.retransmission",
    ),
    RuleDoc(
        "fast_retransmission",
        "Data sent again on request",
        WARNING,
        "A side sent bytes again as soon as duplicate or selective acknowledgments had shown that they were missing.",
        "The loss is real, but its repair costs about one round trip and no long pause.",
        "A segment lost to congestion or to a faulty link while later ones arrived; sometimes strong reordering.",
        "A few of these are normal on busy paths. Many point to a link with errors or to a queue that is too short.",
        "With modern loss detection fewer than three duplicate acknowledgments can suffice; the rule therefore "
        "accepts selective acknowledgments of later data as well.",
        ("RFC 5681 section 3.2", "RFC 6675", "RFC 8985"),
        "tcp.analysis.fast_retransmission",
    ),
    RuleDoc(
        "spurious_retransmission",
        "Data sent again without need",
        NOTE,
        "A side sent bytes again although the other side's acknowledgment of them had passed the tap already.",
        "The bytes were not lost, so the repetition wasted bandwidth; the sender may also have slowed down for "
        "nothing.",
        "The acknowledgment was lost or late behind the tap; the network changed the order; the sender's timeout is "
        "too short.",
        "Check whether acknowledgments are lost on the way back, and whether the delay of the path varies strongly.",
        "Close to the receiver the acknowledgment is seen before the sender can have it: then the repetition was "
        "sent in good faith.",
        ("RFC 2883", "RFC 5682"),
        "tcp.analysis.spurious_retransmission",
    ),
    RuleDoc(
        "tail_loss_probe",
        "Last segment sent again as a probe",
        NOTE,
        "A side repeated only its last segment, sooner than a timeout would have allowed, to learn whether the end "
        "of its data had arrived.",
        "It shows that the acknowledgment of the end was late. The probe turns a long timeout into a short repair.",
        "The last segments or their acknowledgment were lost or late; a receiver that delays acknowledgments.",
        "Nothing, unless it happens in most connections: then look for loss or for very late acknowledgments.",
        "A timeout of a single outstanding segment looks the same; the rule tells them apart by the delay.",
        ("RFC 8985 section 7",),
    ),
    RuleDoc(
        "syn_retransmission",
        "SYN sent again",
        WARNING,
        "A side repeated its request to open a connection because no answer had come.",
        "Each repetition costs the user a second or more before the connection even exists.",
        "The SYN or the answer was lost; a filter drops it; the server's queue of new connections is full; a SYN "
        "met the rest of an older connection.",
        "See whether an answer to the first SYN stands in the capture. If it does, it was lost behind the tap; if "
        "not, look at the server's side.",
        "A SYN whose first transmission was lost before the tap looks like a first one.",
        ("RFC 6298 section 5",),
        "tcp.analysis.retransmission",
    ),
    RuleDoc(
        "syn_ack_retransmission",
        "SYN, ACK sent again",
        WARNING,
        "The answering side repeated its half of the handshake because the third step had not reached it, or "
        "because the SYN came once more.",
        "The connection opens late, and data that the opener sends meanwhile may be thrown away.",
        "The SYN, ACK or the final ACK was lost; the server's accept queue is full, so that it ignores the final "
        "ACK; the server waits for data before it accepts.",
        "If the client's ACK stands in the capture before the repetition, look at the server: its listen backlog, "
        "and counters of overflowed listen queues.",
        "A full queue and a lost ACK cannot be told apart from the segments alone. The SYN, ACK of a simultaneous "
        "open is not counted.",
        ("RFC 9293 section 3.10.7.4",),
        "tcp.analysis.retransmission",
    ),
    RuleDoc(
        "fin_retransmission",
        "FIN sent again",
        WARNING,
        "A side repeated its closing segment because no acknowledgment of it had arrived.",
        "The side stays in a closing state for longer; if the last acknowledgment of a close was lost, the other "
        "side's TIME-WAIT starts anew.",
        "The FIN or its acknowledgment was lost; the other host is gone; a filter forgot the connection.",
        "Look for the acknowledgment between the two FINs. If it is there, it was lost behind the tap.",
        "None known.",
        ("RFC 9293 section 3.10.7.4",),
        "tcp.analysis.retransmission",
    ),
    RuleDoc(
        "out_of_order",
        "Segments overtaken on the way",
        NOTE,
        "Segments passed the tap after others that were sent later. They were late, not lost.",
        "Reordering makes receivers send duplicate acknowledgments, and a sender may take that for loss.",
        "Several paths or queues of different length, link bundles that spread packets, wireless repetition, or a "
        "capture that merges two interfaces.",
        "Check link bundles and load balancing on the path, and whether the capture was taken with several queues.",
        "Without timestamps or counted IP IDs only the delay tells late from repeated; the finding then says so.",
        ("RFC 4737",),
        "tcp.analysis.out_of_order",
    ),
    RuleDoc(
        "old_duplicate",
        "An old segment appeared again",
        NOTE,
        "A segment with bytes seen before passed again, but by its timestamp or IP ID it was sent before, or together "
        "with, the one that brought them: it was not sent again.",
        "Counted as retransmissions they would tell of losses that never were. Such wanderers are the reason why a "
        "closed connection waits in TIME-WAIT; they may also be forged.",
        "A segment held up or doubled in the network (a wireless link repeats what it holds to be lost), an original "
        "overtaken by its own retransmission, a loop, a replay by a test tool or an attacker.",
        "Compare the TTL and the path of the segment with its neighbours.",
        "Needs TCP timestamps, or IP IDs that differ from packet to packet.",
        ("RFC 7323 section 5", "RFC 9293 section 3.6.1"),
    ),
    RuleDoc(
        "duplicate_ack",
        "Acknowledgment repeated",
        NOTE,
        "A receiver sent the same acknowledgment again while data was on its way: something arrived, but not what "
        "it waited for.",
        "It is the receiver's report of loss or reordering, seen from its own side.",
        "A lost segment before the ones that arrived, or reordering.",
        "Look for the segment that starts at the acknowledged number: sent again, or merely late?",
        "Keep-alive answers, window updates and the repeated last acknowledgment of a close are not counted; copies "
        "made by the capture are not either.",
        ("RFC 5681 section 2",),
        "tcp.analysis.duplicate_ack",
    ),
    RuleDoc(
        "lost_segment",
        "Bytes missing at the tap",
        WARNING,
        "What a side sent has a gap at this tap. Either the bytes were lost before they came here, or the capture "
        "missed them.",
        "In the first case the network before the tap loses packets. In the second the capture is incomplete, and "
        "other findings of this connection deserve less trust.",
        "Loss before the tap; an overloaded capturing host; a mirror port with more traffic than it can carry; "
        "several paths of which one is captured.",
        "If the other side acknowledged the bytes, improve the capture. If they were sent again, look for loss "
        "between the sender and the tap.",
        "A gap at the very end of the capture may close later. Bytes that were sent again although the first ones "
        "arrived are told only by a D-SACK (RFC 2883), which not every system sends.",
        (),
        "tcp.analysis.lost_segment",
    ),
    RuleDoc(
        "ack_lost_segment",
        "Acknowledgment of bytes not in the capture",
        NOTE,
        "A side acknowledged bytes, or a SYN, that never passed this tap. They must have been sent, so the capture "
        "does not hold them.",
        "It proves that the capture is incomplete; states and counts around this place are less certain.",
        "Packets dropped while capturing, a one-way mirror, several paths, or a capture filter that is too narrow.",
        "Capture again nearer to the host, with a larger buffer, and without a narrow filter.",
        "Where the capture merely stores segments in the wrong order, nothing is reported.",
        (),
        "tcp.analysis.ack_lost_segment",
    ),
    RuleDoc(
        "zero_window",
        "Receiver had no room",
        WARNING,
        "A side announced a receive window of zero: its buffer was full and the sender had to stop.",
        "The transfer stands still until the application reads. The delay is made by that host, not by the network.",
        "An application that is busy, blocked or slow to read; a buffer that is too small; sometimes a deliberate "
        "brake.",
        "Find out what the reading application did during the time named; measure its processor and disk use.",
        "The window of a RST or a SYN is not counted. How long the application really blocked can be a little less "
        "than shown.",
        ("RFC 9293 section 3.8.6",),
        "tcp.analysis.zero_window",
    ),
    RuleDoc(
        "zero_window_probe",
        "Closed window probed",
        NOTE,
        "A side asked again and again whether the other side's window had opened.",
        "It shows that the sender had data ready and that the receiver held it up.",
        "See zero_window: the receiving application does not read.",
        "Look at the receiving application, not at the network.",
        "Linux probes with an empty segment one below the next number; other systems send one byte. Both are "
        "recognised.",
        ("RFC 9293 section 3.8.6.1",),
        "tcp.analysis.zero_window_probe",
    ),
    RuleDoc(
        "keep_alive",
        "Keep-alive",
        NOTE,
        "A side that had nothing to send asked whether the other side was still there.",
        "Answered ones are harmless and keep filters from forgetting the connection. Unanswered ones end the "
        "connection.",
        "The application or the system has keep-alive switched on.",
        "Nothing if they are answered. If not, see whether the peer or a filter on the way lost the connection.",
        "With an interval longer than the capture only some are seen.",
        ("RFC 9293 section 3.8.4",),
        "tcp.analysis.keep_alive",
    ),
    RuleDoc(
        "peer_silent",
        "One side fell silent",
        ERROR,
        "One side repeated its data or its questions three times or more, and nothing ever came back.",
        "For the user the connection hangs until the timeout, which can take many minutes.",
        "The silent host crashed or lost power; a link broke; a filter or translator forgot the connection and "
        "drops everything.",
        "Check whether the silent host was up, and whether a firewall on the path expires idle connections sooner "
        "than these hosts expect.",
        "From one capture a dead host and a dead path look the same.",
        ("RFC 9293 section 3.8.3",),
    ),
    RuleDoc(
        "icmp_unreachable",
        "Destination unreachable",
        WARNING,
        "A router or the destination's own host said by ICMP that it could not, or would not, deliver a side's "
        "segments: no route, no such host, no one at that port, or forbidden by a filter.",
        "It names the reason and the place of a failure that otherwise looks like silence.",
        "A host that is down or has another address; a broken or missing route; a firewall that rejects instead of "
        "dropping; a service that does not listen.",
        'Ask whoever runs the complaining address. "Prohibited" means a filter\'s rule; "host" or "network '
        'unreachable" a route or a host that is gone.',
        "A host gives up at once only for an unreachable port or protocol while it opens; it bears with the other "
        "kinds, which often pass. ICMP is easily forged: the finding says where the sequence number quoted was not in "
        "flight.",
        ("RFC 792", "RFC 1122 section 4.2.3.9", "RFC 4443 section 3.1", "RFC 5461", "RFC 5927 section 4"),
    ),
    RuleDoc(
        "icmp_fragmentation_needed",
        "Packets too large for the path",
        NOTE,
        "A router said by ICMP that a side's packets are too large for the next link and may not be fragmented, and "
        "how large they may be (path MTU discovery).",
        "A side that hears it sends smaller segments and all is well. One that does not sends the same bytes again and "
        "again: small exchanges work and large ones hang.",
        "A tunnel, VPN or PPPoE link on the path with a smaller MTU; trouble only if a filter keeps the message "
        "from the sender, or the sender ignores it.",
        "If the sender ignored it, let ICMP pass to it, or lower its MTU, or have the router limit the MSS of "
        "passing SYNs.",
        "How large packets were is computed from their payload and usual headers, so a few bytes may be lacking. "
        "Segments captured before the network card cut them are not judged.",
        ("RFC 1191", "RFC 8201", "RFC 4821", "RFC 5927 section 7"),
    ),
    RuleDoc(
        "icmp_time_exceeded",
        "Hop limit ran out",
        WARNING,
        "A router said by ICMP that a segment's hop limit (TTL) ran out there, or a host that it never got all "
        "fragments of a packet.",
        "The segment did not arrive. If many report it the packets run in a circle.",
        "A routing loop; a host with a very small initial hop limit; lost fragments; a tool that traces the route.",
        "Compare the routes of the complaining routers. For lost fragments look for the smaller MTU on the path.",
        "A route traced with TCP looks the same, and does no harm.",
        ("RFC 792", "RFC 1812 section 5.3.1", "RFC 4443 section 3.3"),
    ),
    RuleDoc(
        "icmp_other",
        "Another ICMP message about the connection",
        NOTE,
        "A router or host sent an ICMP message of another kind that quotes a segment of this connection: a redirect to "
        "another router, a source quench, a parameter problem.",
        "Mostly harmless. A redirect tells of a detour on the local network; a parameter problem of a damaged header.",
        "A host whose default router is not the best one; old equipment; damaged or unusual IP options.",
        "For redirects look at the routes of the host; for parameter problems at what changes packets on the way.",
        "Source quench is obsolete and TCP ignores it.",
        ("RFC 792", "RFC 1122 section 3.2.2", "RFC 6633"),
    ),
    RuleDoc(
        "order_undecided",
        "Late or sent again: not known",
        NOTE,
        "A segment filled a gap that later ones had left. Whether it was overtaken on the way or sent again after a "
        "loss, nothing in the capture tells.",
        "The one is harmless, the other is loss; what cannot be told is not counted as either.",
        "A capture that begins in mid-connection, of a sender without timestamps that does not count its packets.",
        "Capture from the beginning of the connection, or at the sender.",
        "Judged as unknown only between the reordering time and the shortest timeout (see the settings).",
        ("RFC 4737", "RFC 5681 section 3.2"),
        "tcp.analysis.out_of_order",
    ),
    RuleDoc(
        "excessive_retransmission",
        "One segment sent again and again",
        WARNING,
        "The same bytes had to be sent again three times or more, although the other side was still there. An error if "
        "they were never acknowledged.",
        "Each time the sender waits twice as long: three failures in a row stop a transfer for seconds, and after 15 "
        "or so the connection is given up.",
        "An outage or heavy loss on the path, a filter or device that drops just these segments, a size that does not "
        "fit the path.",
        "Capture on both sides of the suspected place and look where the same segment is lost each time.",
        "What the other side is doing meanwhile shows only as far as its segments pass the tap.",
        ("RFC 9293 section 3.8.3", "RFC 6298 section 5.5"),
        "tcp.analysis.retransmission",
    ),
    RuleDoc(
        "pmtu_black_hole",
        "Large segments do not arrive",
        ERROR,
        "Full-sized segments were lost each time while smaller ones arrived, and no router said that they were too "
        "large.",
        "Connections open and short messages pass, but anything longer hangs.",
        "A tunnel or link with a smaller packet size, and a filter that drops the ICMP errors which would tell the "
        "sender.",
        'Let ICMP "fragmentation needed" and "packet too big" pass, or lower the MSS at the tunnel (MSS clamping).',
        "Told from two full-sized failures on if a smaller part then passes, else from three on, as likely only.",
        ("RFC 2923 section 2.1", "RFC 8899", "RFC 4821"),
    ),
)
