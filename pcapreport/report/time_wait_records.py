"""The TIME-WAIT ledger as the document tells it."""

from __future__ import annotations

from typing import cast

from pcapreport.findings import time_wait_words
from pcapreport.report import model
from pcapreport.report.times import Clock
from pcapreport.settings import SECOND
from pcapreport.tcp.history import LaterSyn, TimeWait


def time_wait_record(ledger: TimeWait, clock: Clock) -> model.TimeWait:
    """One endpoint's ledger."""
    return model.TimeWait(
        entered_s=clock.interval(ledger.entered),
        restarts=[
            model.TimeWaitRestart(at_s=clock.seconds(r.at), frame=cast(int, clock.frame(r.frame)), segment=r.what)
            for r in ledger.restarts
        ],
        expires_s=clock.interval(ledger.expires),
        profile=ledger.profile,
        two_msl_s=ledger.two_msl / SECOND,
        ended_by=model.spelled(ledger.ended_by),
        ended_s=clock.maybe(ledger.ended_at),
        ended_frame=clock.frame(ledger.ended_frame),
        later_syns=[_later_syn(syn, clock) for syn in ledger.later_syns],
    )


def _later_syn(syn: LaterSyn, clock: Clock) -> model.LaterSyn:
    return model.LaterSyn(
        frame=syn.frame,
        at_s=clock.seconds(syn.at),
        verdict=model.spelled(syn.meeting),
        text=time_wait_words.told(syn),
        seq=syn.seq,
        next_seq=syn.next_seq,
        ts_val=syn.stamp,
        last_ts_val=syn.last_stamp,
        answer_frame=syn.answer,
        reset_frame=syn.reset,
    )
