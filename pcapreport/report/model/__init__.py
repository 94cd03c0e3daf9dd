"""The result document, version 1: everything a renderer may show, typed and immutable.

It round-trips through JSON (`encode`, `decode`) and describes itself (`schema`). Times are seconds since the first
packet of the capture, exact to the nanosecond; an open end of an interval is null. Frames are 1-based over all
records, as Wireshark counts. Fields are added, never renamed, within a major version.
"""

from __future__ import annotations

from pcapreport.report.model.across import Across, SlowConnection, Talker
from pcapreport.report.model.base import (
    Certainty,
    Confidence,
    Interval,
    Record,
    Sender,
    Severity,
    Side,
    Status,
    spelled,
)
from pcapreport.report.model.connection import Connection, Endpoint, Metrics, Responses, TimeSpent, Vantage
from pcapreport.report.model.detail import Detail, LadderRow, Segment, Series, Step
from pcapreport.report.model.document import (
    SCHEMA_VERSION,
    Activity,
    CaptureVantage,
    Crowd,
    Document,
    Host,
    RoundTrips,
    RuleCount,
    Totals,
    decode,
    encode,
    encode_around,
    encoder,
    schema,
)
from pcapreport.report.model.evidence import Capture, Comment, Interface, Problem, Tool
from pcapreport.report.model.findings import (
    RETRANSMISSION_RULES,
    Alternative,
    Comparison,
    CountChange,
    Finding,
    Gone,
    Page,
    Suppressed,
    Verdict,
)
from pcapreport.report.model.history import EndpointHistory, Endpoints, LaterSyn, TimeWait, TimeWaitRestart, Transition
from pcapreport.report.model.lab import (
    Lab,
    LabField,
    LabPacket,
    LabProcess,
    LabQuestion,
    LabSample,
    LabStep,
    LabTransfer,
)
from pcapreport.report.model.wireshark import OtherWord, WiresharkDifference, WiresharkField

__all__ = [
    "Page",
    "Across",
    "Activity",
    "RoundTrips",
    "RuleCount",
    "SlowConnection",
    "Alternative",
    "Capture",
    "CaptureVantage",
    "Certainty",
    "Comment",
    "Comparison",
    "Confidence",
    "Connection",
    "CountChange",
    "Crowd",
    "Detail",
    "Document",
    "Endpoint",
    "EndpointHistory",
    "Endpoints",
    "Finding",
    "Gone",
    "Host",
    "Interface",
    "Interval",
    "Lab",
    "LabField",
    "LabPacket",
    "LabProcess",
    "LabQuestion",
    "LabSample",
    "LabStep",
    "LabTransfer",
    "LadderRow",
    "LaterSyn",
    "Metrics",
    "OtherWord",
    "Problem",
    "RETRANSMISSION_RULES",
    "Record",
    "Responses",
    "SCHEMA_VERSION",
    "Segment",
    "Sender",
    "Series",
    "Severity",
    "Side",
    "Status",
    "Step",
    "Suppressed",
    "Talker",
    "TimeSpent",
    "TimeWait",
    "TimeWaitRestart",
    "Tool",
    "Totals",
    "Transition",
    "Vantage",
    "Verdict",
    "WiresharkDifference",
    "WiresharkField",
    "decode",
    "encode",
    "encode_around",
    "encoder",
    "schema",
    "spelled",
]
