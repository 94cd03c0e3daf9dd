"""Result documents made by hand: one for each kind of page that the renderers must get right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pcapreport.report.model import (
    SCHEMA_VERSION,
    Alternative,
    Capture,
    Comment,
    Connection,
    Detail,
    Document,
    Endpoint,
    EndpointHistory,
    Endpoints,
    Finding,
    Interface,
    LadderRow,
    Metrics,
    Problem,
    Sender,
    Series,
    Step,
    TimeWait,
    TimeWaitRestart,
    Tool,
    Totals,
    Transition,
    Verdict,
)

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202egpj.exe\x1b[31m\x00{{7*7}}|`@all`"

RULES = {
    "client_sends_syn": "An active open sends SYN and enters SYN-SENT (RFC 9293, 3.10.1).",
    "server_receives_syn": "A SYN at LISTEN is answered and the side enters SYN-RECEIVED (RFC 9293, 3.10.7.2).",
    "syn_acknowledged": "An acknowledgment of the own SYN completes the opening (RFC 9293, 3.10.7.3).",
    "close_sends_fin": "A close sends FIN and enters FIN-WAIT-1 (RFC 9293, 3.10.4).",
    "fin_acknowledged": "The own FIN is acknowledged (RFC 9293, 3.10.7.4).",
    "fin_received": "The other side's FIN arrives (RFC 9293, 3.10.7.4).",
    "two_msl_expired": "2MSL after the last acknowledgment the side forgets the connection (RFC 9293, 3.6.1).",
    "reset_received": "A reset inside the window ends the connection (RFC 9293, 3.5.2).",
    "reset_sent": "The side sends a reset and forgets the connection (RFC 9293, 3.5.1).",
}


@dataclass
class Script:
    """A connection told segment by segment; it keeps both states and writes ladder and histories."""

    client: str = "LISTEN"
    server: str = "LISTEN"
    rows: list[LadderRow] = field(default_factory=list)
    histories: dict[str, list[Transition]] = field(default_factory=lambda: {"client": [], "server": []})

    def begin(self, client: str | None, server: str | None) -> None:
        """The states before the first row; None: the history starts with the first segment."""
        self.client, self.server = client or "", server or ""
        for side, state in (("client", client), ("server", server)):
            if state:
                self._note(side, state, (None, 0.0), None, "convention", "assumed")

    def _note(self, side: str, state: str, entered: Any, frame: int | None, rule: str, certainty: Any) -> None:
        self.histories[side].append(
            Transition(state=state, entered_s=entered, frame=frame, rule=rule, certainty=certainty)
        )

    def row(
        self,
        kind: Any,
        time: float | None,
        sender: Sender | None = None,
        frames: tuple[int, ...] = (),
        client: str = "",
        server: str = "",
        rule: str = "",
        **more: Any,
    ) -> None:
        """Add a row; `client` and `server` name the states entered by it, if any."""
        frame = frames[0] if frames else None
        for side, state in (("client", client), ("server", server)):
            if not state:
                continue
            setattr(self, side, state)
            own = side == sender
            certainty = "assumed" if kind == "event" else "proven" if own else "supposed"
            after = None if time is None else time if own or kind == "event" else time + 0.0004
            self._note(side, state, (time, after), frame, rule or "segment", certainty)
        self.rows.append(
            LadderRow(
                kind=kind,
                time_s=time,
                client_state=self.client,
                server_state=self.server,
                sender=sender,
                frames=list(frames),
                **more,
            )
        )


def metrics(**more: Any) -> Metrics:
    """Plausible numbers, any of them replaced."""
    values: dict[str, Any] = {
        "client_packets": 5, "server_packets": 4, "client_bytes": 512, "server_bytes": 16384,
        "client_retransmitted": 0, "server_retransmitted": 0, "handshake_s": 0.000412, "client_rtt_s": 0.000201,
        "server_rtt_s": 0.000187, "client_window_scale": 7, "server_window_scale": 7, "client_mss": 1460,
        "server_mss": 1460, "client_isn": 3735928559, "server_isn": 305419896, "client_min_window": 64256,
        "server_min_window": 65160,
    }  # fmt: skip
    return Metrics(**(values | more))


def connection(script: Script, number: int = 1, **more: Any) -> Connection:
    """A connection with details from its script."""
    frames = [frame for row in script.rows for frame in row.frames]
    times = [row.time_s for row in script.rows if row.time_s is not None]
    ends = {
        side: EndpointHistory(
            history=script.histories[side],
            possible_final_states=[getattr(script, side)],
            time_wait=more.pop(f"{side}_time_wait", None),
        )
        for side in ("client", "server")
    }
    detail = Detail(
        ladder=script.rows,
        handshake=more.pop("handshake", []),
        teardown=more.pop("teardown", []),
        series=more.pop("series", []),
        ladder_omitted=more.pop("ladder_omitted", ""),
        reading=more.pop("reading", ""),
    )
    port = 40000 + number
    values: dict[str, Any] = {
        "id": number,
        "client": Endpoint(address="192.0.2.10", port=port),
        "server": Endpoint(address="198.51.100.80", port=80),
        "start_s": min(times),
        "end_s": max(times),
        "packets": len(frames),
        "opening": "three-way",
        "closing": "client-first",
        "endpoints": Endpoints(**ends),
        "findings": [],
        "metrics": metrics(),
        "first_frame": min(frames, default=1),
        "last_frame": max(frames, default=1),
        "opener_known_by": "its SYN was captured",
        "filter": f"ip.addr == 192.0.2.10 && ip.addr == 198.51.100.80 && tcp.port == {port} && tcp.port == 80",
        "anchor": f"c-192.0.2.10-{port}-198.51.100.80-80-1",
        "detail": detail,
    }
    return Connection(**(values | more))


def document(connections: list[Connection], verdict: Verdict, **more: Any) -> Document:
    """A document around these connections."""
    capture: dict[str, Any] = {
        "file": "evening/web-01.pcapng",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "size_bytes": 24_812,
        "container": "pcapng",
        "compression": "none",
        "packets": sum(c.packets for c in connections) + 3,
        "tcp_packets": sum(c.packets for c in connections),
        "start": "2024-03-01T10:20:30.123456789Z",
        "duration_s": max((c.end_s for c in connections), default=0.0),
        "complete": True,
        "interfaces": [
            Interface(link_type=1, link_name="Ethernet", snaplen=262144, resolution="1 ns", name="eth0", drops=0)
        ],
        "problems": [],
        "byte_order": "little-endian",
        "application": "Dumpcap 4.2",
        "other_packets": {"ARP": 2, "UDP": 1},
    }
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "tool": Tool(name="pcapreport", version="0.1.0"),
        "options": {"time_wait": "auto", "max_connections": 50, "anonymize": False},
        "capture": Capture(**(capture | more.pop("capture", {}))),
        "connections": connections,
        "findings": [],
        "verdict": verdict,
        "connections_shown_in_detail": sum(c.detail is not None for c in connections),
        "method": ["States are inferred from the segments at one tap.", "2MSL is an assumption about the host."],
        "rules": RULES,
    }
    values |= more
    return Document(**{"totals": totals(values["connections"], values["findings"]), **values})


def totals(connections: list[Connection], findings: list[Finding]) -> Totals:
    """The counts of a document that holds all its connections."""
    found = [*findings, *(f for c in connections for f in c.findings)]
    ends = [end for c in connections for end in (c.endpoints.client, c.endpoints.server)]
    return Totals(
        connections=len(connections),
        openings=dict(Counter(c.opening for c in connections)),
        closings=dict(Counter(c.closing for c in connections)),
        findings=dict(Counter(f.severity for f in found)),
        time_waits=sum(end.time_wait is not None for end in ends),
        retransmitted=sum(c.metrics.client_retransmitted + c.metrics.server_retransmitted for c in connections),
    )


def _opened(script: Script) -> None:
    """A three-way handshake in frames 1 to 3."""
    script.begin(None, "LISTEN")
    script.row("segment", 0.0, "client", (1,), client="SYN-SENT", rule="client_sends_syn", flags="SYN", seq=0)
    script.row(
        "segment", 0.000201, "server", (2,), server="SYN-RECEIVED", client="ESTABLISHED", rule="syn_acknowledged",
        flags="SYN, ACK", seq=0, ack=1, window=65160,
    )  # fmt: skip
    script.row(
        "segment", 0.000412, "client", (3,), server="ESTABLISHED", rule="syn_acknowledged",
        flags="ACK", seq=1, ack=1, window=64256,
    )  # fmt: skip


def _exchange(script: Script) -> None:
    """A request in frame 4 and a response folded from frames 5 to 18."""
    script.row("segment", 0.0011, "client", (4,), flags="PSH, ACK", seq=1, ack=1, length=512)
    script.row("burst", 0.0123, "server", tuple(range(5, 19)), count=12, length=16384, seq=1, ack=513, end_s=0.0151)


HANDSHAKE = [
    Step(number=1, sender="client", segment="SYN", frame=1, time_s=0.0, seq="j = 0 (raw 3735928559)", ack="",
         expected="a new sequence number j", observed="", ok=True, states="client SYN-SENT, server LISTEN"),
    Step(number=2, sender="server", segment="SYN, ACK", frame=2, time_s=0.000201, seq="k = 0 (raw 305419896)",
         ack="1", expected="ack = j+1 = 1", observed="ack 1", ok=True,
         states="client ESTABLISHED, server SYN-RECEIVED"),
    Step(number=3, sender="client", segment="ACK", frame=3, time_s=0.000412, seq="1", ack="1",
         expected="ack = k+1 = 1", observed="ack 1", ok=True, states="both ESTABLISHED"),
]  # fmt: skip
TEARDOWN = [
    Step(number=1, sender="client", segment="FIN, ACK", frame=19, time_s=2.5, seq="m = 513", ack="16385",
         expected="FIN", observed="", ok=True, states="client FIN-WAIT-1, server CLOSE-WAIT"),
    Step(number=2, sender="server", segment="ACK", frame=None, time_s=None, seq="", ack="", expected="ack = m+1 = 514",
         observed="", ok=None, states=""),
]  # fmt: skip


def clean_close() -> Document:
    """Handshake, request, response, the client closes first with four segments; the capture outlives TIME-WAIT."""
    script = Script()
    _opened(script)
    _exchange(script)
    script.row("gap", 0.0151, end_s=2.5)
    script.row("segment", 2.5, "client", (19,), client="FIN-WAIT-1", server="CLOSE-WAIT", rule="close_sends_fin",
               flags="FIN, ACK", seq=513, ack=16385)  # fmt: skip
    script.row("segment", 2.500181, "server", (20,), client="FIN-WAIT-2", rule="fin_acknowledged",
               flags="ACK", seq=16385, ack=514)  # fmt: skip
    script.row("segment", 2.51, "server", (21,), server="LAST-ACK", client="TIME-WAIT", rule="fin_received",
               flags="FIN, ACK", seq=16385, ack=514)  # fmt: skip
    script.row("segment", 2.510122, "client", (22,), server="CLOSED", rule="fin_acknowledged",
               flags="ACK", seq=514, ack=16386)  # fmt: skip
    script.row("event", 62.51, None, (), client="CLOSED", rule="two_msl_expired", text="2MSL expires, 60 s after entry")
    wait = TimeWait(
        entered_s=(2.51, 2.510122), restarts=[], expires_s=(62.51, 64.56), profile="linux", two_msl_s=60.0,
        ended_by="expiry", ended_s=62.51,
    )  # fmt: skip
    data = [0.0123 + i * 0.00025 for i in range(12)]
    series = [
        Series(sender="server", kind="data", time_s=data, value=[1 + 1366 * (i + 1) for i in range(12)]),
        Series(sender="server", kind="ack", time_s=[t + 0.0002 for t in data], value=[1366 * i for i in range(12)]),
        Series(sender="server", kind="window", time_s=[0.0004, 0.015], value=[64257, 64257 + 16384]),
    ]
    one = connection(
        script, client_time_wait=wait, handshake=HANDSHAKE, teardown=TEARDOWN, series=series,
        reading="The client (frame 19) closed first; the server followed (frame 21). Four segments, nothing lost.",
    )  # fmt: skip
    verdict = Verdict(
        text="The connection opened and closed as it should; the client closed first.",
        side="none", confidence="high", findings=[],
        evidence=["The client's FIN is frame 19.", "The server acknowledged it in frame 20 and closed in frame 21."],
        cannot_know=["Whether the client's host really kept TIME-WAIT for 60 s: no segment shows it."],
    )  # fmt: skip
    return document([one], verdict)


def refused() -> Document:
    """A SYN answered by a reset."""
    script = Script()
    script.begin(None, "CLOSED")
    script.row("segment", 0.0, "client", (1,), client="SYN-SENT", rule="client_sends_syn", flags="SYN", seq=0)
    script.row("segment", 0.00018, "server", (2,), client="CLOSED", rule="reset_received", flags="RST, ACK",
               seq=0, ack=1, rules=["connection_refused"], severity="error")  # fmt: skip
    finding = Finding(
        rule="connection_refused", severity="error", confidence="high", side="server", frames=[1, 2], time_s=0.00018,
        summary="The server answered the SYN of frame 1 with a reset in frame 2: nothing listens on port 80.",
        alternatives=[Alternative(explanation="A firewall that rejects with a reset.", confidence="medium")],
        title="Connection refused", filter="frame.number in {1, 2}",
    )  # fmt: skip
    one = connection(
        script, opening="refused", closing="refused", findings=[finding], severity="error",
        metrics=metrics(client_bytes=0, server_bytes=0, handshake_s=None, client_rtt_s=None, server_mss=None),
    )  # fmt: skip
    verdict = Verdict(
        text="The server refused the connection: port 80 is closed.", side="server", confidence="high",
        findings=["connection_refused"], evidence=["Frame 2 is a reset that acknowledges the SYN of frame 1."],
        cannot_know=["Whether the server's host or a firewall in front of it sent the reset."],
    )  # fmt: skip
    return document([one], verdict, rules=RULES | {"connection_refused": "A SYN answered by RST, ACK."})


def reset() -> Document:
    """A response with a retransmission and a hole, then a reset by the client."""
    script = Script()
    _opened(script)
    _exchange(script)
    script.row("phantom", 0.0152, "server", (), flags="ACK", seq=16385, length=1460, text="acknowledged by frame 21")
    script.row("segment", 0.2152, "server", (20,), flags="ACK", seq=14925, ack=513, length=1460,
               rules=["retransmission"], severity="note")  # fmt: skip
    script.row("segment", 0.2154, "client", (21,), flags="ACK", seq=513, ack=17845)
    script.row("gap", 0.2154, end_s=31.7)
    script.row("segment", 31.7, "client", (22,), client="CLOSED", server="CLOSED", rule="reset_sent", flags="RST, ACK",
               seq=513, ack=17845, rules=["reset_with_data_outstanding"], severity="error")  # fmt: skip
    finding = Finding(
        rule="reset_with_data_outstanding", severity="error", confidence="medium", side="client",
        frames=list(range(2, 60, 2)), time_s=31.7,
        summary="The client ended the connection by a reset in frame 22, after 31.48 s of silence.",
        title="Reset in mid-transfer",
    )  # fmt: skip
    note = Finding(
        rule="retransmission", severity="note", confidence="high", side="server", frames=[20], time_s=0.2152,
        summary="Frame 20 sends bytes again.", title="Retransmission", filter="frame.number == 20",
    )  # fmt: skip
    one = connection(script, closing="reset-by-client", findings=[finding, note], severity="error",
                     handshake=HANDSHAKE)  # fmt: skip
    plain = msgspec.structs.replace(one, id=2, detail=None, findings=[], severity=None, anchor="c-two")
    verdict = Verdict(
        text="The client broke the connection off by a reset after 31 s of silence.", side="client",
        confidence="medium", findings=["reset_with_data_outstanding"], evidence=["Frame 22 is the reset."],
    )  # fmt: skip
    return document([one, plain], verdict)


def time_wait_restart() -> Document:
    """The server's FIN comes again into TIME-WAIT and starts 2MSL anew; the capture ends before it expires."""
    script = Script()
    script.begin("ESTABLISHED", "ESTABLISHED")
    script.row("segment", 0.0, "client", (1,), client="FIN-WAIT-1", server="CLOSE-WAIT", flags="FIN, ACK",
               seq=1, ack=1)  # fmt: skip
    script.row("segment", 0.0002, "server", (2,), server="LAST-ACK", client="TIME-WAIT", flags="FIN, ACK",
               seq=1, ack=2)  # fmt: skip
    script.row("segment", 0.0003, "client", (3,), flags="ACK", seq=2, ack=2)
    script.row("segment", 0.2042, "server", (4,), flags="FIN, ACK", seq=1, ack=2, rules=["fin_retransmission"],
               severity="warning")  # fmt: skip
    script.row("segment", 0.2043, "client", (5,), server="CLOSED", flags="ACK", seq=2, ack=2,
               text="TIME-WAIT starts anew")  # fmt: skip
    script.row("event", 3.0, text="the capture ends in TIME-WAIT")
    wait = TimeWait(
        entered_s=(0.0002, 0.0003), restarts=[TimeWaitRestart(at_s=0.2042, frame=4)], expires_s=(60.2042, 62.2542),
        profile="linux", two_msl_s=60.0, ended_by="capture-end",
    )  # fmt: skip
    finding = Finding(
        rule="fin_retransmission", severity="warning", confidence="high", side="network", frames=[4], time_s=0.2042,
        summary="The server sent its FIN again: the last acknowledgment (frame 3) did not reach it.",
        title="FIN sent again",
    )  # fmt: skip
    one = connection(script, opening="midstream", client_time_wait=wait, findings=[finding], severity="warning")
    verdict = Verdict(
        text="The last acknowledgment was lost, so the server sent its FIN again and TIME-WAIT started anew.",
        side="network", confidence="high", findings=["fin_retransmission"], evidence=["Frame 4 repeats frame 2."],
        cannot_know=["When TIME-WAIT ended: the capture stops 57.2 s before."],
    )  # fmt: skip
    return document([one], verdict)


def hostile() -> Document:
    """Every string that a capture can fill holds markup, control and bidi characters."""
    base = refused()
    bad = msgspec.structs.replace
    one = base.connections[0]
    assert one.detail is not None
    rows = [bad(row, text=HOSTILE, flags=HOSTILE, rules=[HOSTILE]) for row in one.detail.ladder]
    steps = [bad(step, segment=HOSTILE, seq=HOSTILE, observed=HOSTILE, states=HOSTILE) for step in HANDSHAKE]
    finding = bad(one.findings[0], summary=HOSTILE, title=HOSTILE, rule=HOSTILE, filter=HOSTILE)
    history = [bad(t, rule=HOSTILE, note=HOSTILE, state=HOSTILE) for t in one.endpoints.client.history]
    end = bad(one.endpoints.client, history=history, withdrawn=[HOSTILE], possible_final_states=[HOSTILE, HOSTILE])
    one = bad(
        one, client=Endpoint(address=HOSTILE, port=1), opening=HOSTILE, closing=HOSTILE, opener_known_by=HOSTILE,
        filter=HOSTILE, anchor=HOSTILE, encapsulation=HOSTILE, findings=[finding],
        endpoints=Endpoints(client=end, server=end),
        detail=bad(one.detail, ladder=rows, reading=HOSTILE, ladder_omitted=HOSTILE, handshake=steps),
    )  # fmt: skip
    return document(
        [one, bad(one, id=2)],
        Verdict(text=HOSTILE, side="client", confidence="low", findings=[HOSTILE], evidence=[HOSTILE],
                cannot_know=[HOSTILE]),
        capture={
            "file": HOSTILE, "application": HOSTILE, "os": HOSTILE, "hardware": HOSTILE, "complete": False,
            "comments": [Comment(frame=1, text=HOSTILE)], "other_packets": {HOSTILE: 3}, "encapsulations": [HOSTILE],
            "problems": [Problem(code=HOSTILE, message=HOSTILE, offset=7, frame=1)],
            "interfaces": [
                Interface(link_type=1, link_name=HOSTILE, snaplen=0, resolution=HOSTILE, name=HOSTILE,
                          description=HOSTILE, os=HOSTILE)
            ],
        },
        findings=[finding], options={HOSTILE: HOSTILE}, method=[HOSTILE], rules={HOSTILE: HOSTILE},
    )  # fmt: skip


def damaged() -> Document:
    """A capture cut in mid-record."""
    whole = clean_close()
    problem = Problem(code="cut_record", message="The last record is cut short: 54 of 1,514 bytes", offset=24_758)
    return msgspec.structs.replace(
        whole, capture=msgspec.structs.replace(whole.capture, complete=False, problems=[problem])
    )


def empty() -> Document:
    """A capture file with a header and no packet."""
    return document(
        [],
        Verdict(text="The capture holds no packets, so nothing can be said.", side="undecidable", confidence="high",
                findings=[]),
        capture={"packets": 0, "tcp_packets": 0, "start": None, "other_packets": {}, "duration_s": 0.0},
        method=[], rules={},
    )  # fmt: skip


DOCUMENTS = {
    "clean_close": clean_close,
    "refused": refused,
    "reset": reset,
    "time_wait_restart": time_wait_restart,
    "hostile": hostile,
    "damaged": damaged,
    "empty": empty,
}
