"""What findings say can be said in another language: it is made of texts, and each of their forms is gathered."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import catalogue

from pcapreport.capture import icmp, read_capture
from pcapreport.findings import find_all
from pcapreport.findings.ephemeral_ports import running_out
from pcapreport.findings.model import Finding
from pcapreport.language import BETWEEN_SENTENCES, LANGUAGES, Text, say, speaking
from pcapreport.message import Message
from pcapreport.settings import SECOND, Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.host_profile import NO_HOSTS
from pcapreport.tcp.time_wait_population import Crowd, HostWaits, Peak, TimeWaitPopulation

from .scenario import load
from .test_scans import capture as scan_capture
from .test_scans import refused, syn

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.pkt"))
SAMPLES = sorted(path for path in (Path(__file__).parents[2] / "sample_pcaps").iterdir() if ".pcap" in path.name)


def of_capture(path: Path) -> list[Finding]:
    capture, settings = read_capture(path, checksums=True), Settings()
    table = find_connections(capture.table, settings)
    histories = reconstruct_all(table, capture.last_ns or 0, settings)
    return find_all(capture, table, histories, settings)


@cache
def findings() -> tuple[Finding, ...]:
    made = [finding for path in SCENARIOS for finding in load(path).findings()]
    return (*made, *(finding for path in SAMPLES for finding in of_capture(path)), *_short_of_ports())


def _short_of_ports() -> list[Finding]:
    peak = Peak(20_000, 5 * SECOND)
    crowd = Crowd("10.0.0.2", 80, peak, (40_000, 50_000), 1)
    waits = [HostWaits("10.0.0.1", 20_000, peak, crowd)]
    return running_out(TimeWaitPopulation(), waits, NO_HOSTS, Settings(), 0)


def texts(finding: Finding) -> list[str]:
    return [finding.summary, *(other.explanation for other in finding.alternatives)]


def test_crowds_are_told_in_texts(tmp_path: Path) -> None:
    flood = [frame for n in range(300) for frame in syn(n / 50, 1024 + n, source=0xC0000000 + n)]
    scan = [frame for n in range(300) for frame in refused(n / 50, 1024 + n, to=1 + n)]
    for name, frames in (("syn_flood", flood), ("port_scan", scan)):
        path = tmp_path / name
        path.write_bytes(scan_capture([*frames, *syn(30, 60_000, to=8_080)]))
        (crowd,) = [finding for finding in of_capture(path) if finding.rule == name]
        check(crowd)


def test_what_findings_say_is_made_of_texts() -> None:
    plain = {finding.rule for finding in findings() if not all(isinstance(text, Text) for text in texts(finding))}
    assert plain == set()


def test_each_form_is_gathered_and_can_be_said() -> None:
    for finding in findings():
        check(finding)


def test_the_kinds_of_icmp_errors_are_texts() -> None:
    for name, codes in (*icmp._KINDS_4.values(), *icmp._KINDS_6.values()):
        for kind in (name, *codes):
            assert isinstance(kind, Text) and kind in gathered(), kind


def check(finding: Finding) -> None:
    for text in texts(finding):
        assert isinstance(text, Text), text
        assert set(forms_of(text.message)) <= gathered(), text
        for language in LANGUAGES:
            with speaking(language):
                assert say(text)


@cache
def gathered() -> frozenset[str]:
    found = {form if isinstance(form, str) else form[0] for form in catalogue.forms()}
    return frozenset(found | {BETWEEN_SENTENCES})


def forms_of(message: Message) -> Iterator[str]:
    yield message.form
    for part in (*message.parts.values(), *message.items):
        if isinstance(part, Message):
            yield from forms_of(part)
