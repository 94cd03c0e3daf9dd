"""The kernel laboratory: real TCP stacks, a path that spoils their packets, and the kernel's own record of both ends.

    scenarios/   what two applications do and what the path does to them; variants are picked by a seed
    play.py      one run: hosts, wire, observers, and the connections of one scenario side by side
    wire.py      the path between the hosts, with a ledger of every packet; segments.py reads and forges packets
    tracing.py   the kernel's state changes and TIME-WAIT timers; sockets.py polls the socket tables
    truth.py     ledger + trace + polls -> each end's RFC 9293 states and when they were entered; checks.py doubts them
    record.py    the files of a run: captures at three taps, spoiled copies of them, ledger, truth, description
    recorded.py  reads those files; scoring.py holds the report's histories against the truth, hidden.py says what the
                 capture cannot tell; tally.py adds up, tables.py prints, accuracy.py writes; compare.py asks others
    causes/      plays with one known cause, for the verdicts; verdicts.py scores these

``python -m tests.kernel_lab run`` needs root, namespaces, TUN and tracefs; ``score`` needs nothing but the files.
The hosts are those of the sample captures (``sample_pcaps/lab``).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
for folder in (ROOT / "sample_pcaps", ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
