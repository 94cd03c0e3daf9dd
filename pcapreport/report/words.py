"""The words of the document's closed lists, so that they are gathered for translation and can be said (`language.say`).

In the document they stay English, as in its schema. How connections opened and closed: see tcp/classify.py.
"""

from __future__ import annotations

from pcapreport.language import phrase

SIDES = (
    phrase("client"),
    phrase("server"),
    phrase("network"),
    phrase("capture"),
    phrase("none"),
    phrase("undecidable"),
)
SEVERITIES = (phrase("error"), phrase("warning"), phrase("note"))
CONFIDENCES = (phrase("high"), phrase("medium"), phrase("low"))
CERTAINTIES = (phrase("proven"), phrase("supposed"), phrase("assumed"))
STATUSES = (phrase("new"), phrase("unchanged"))
CURVES = (phrase("data"), phrase("retransmission"), phrase("ack"), phrase("window"))
"""Points of the time-sequence plots."""
BYTE_ORDERS = (phrase("little"), phrase("big"))
UNKNOWN = phrase("unknown")
