"""The manual: what each finding means, why it matters, where it comes from and what to do about it.

Built from tables: about the network, the endpoints, their conformance, who took the time, what is between or beyond
them, the capture.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pcapreport.findings.rule_doc import RuleDoc
from pcapreport.findings.rules_capture import CAPTURE_RULES
from pcapreport.findings.rules_conformance import CONFORMANCE_RULES
from pcapreport.findings.rules_endpoints import ENDPOINT_RULES
from pcapreport.findings.rules_middlebox import MIDDLEBOX_RULES
from pcapreport.findings.rules_network import NETWORK_RULES
from pcapreport.findings.rules_slow import SLOW_RULES

RULES: Mapping[str, RuleDoc] = MappingProxyType(
    {
        doc.id: doc
        for doc in (
            *NETWORK_RULES,
            *ENDPOINT_RULES,
            *CONFORMANCE_RULES,
            *SLOW_RULES,
            *MIDDLEBOX_RULES,
            *CAPTURE_RULES,
        )
    }
)
