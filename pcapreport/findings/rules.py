from __future__ import annotations
from collections import defaultdict
from dataclasses import dataclass
from pcapreport.findings.model import Severity
@dataclass
class RuleDoc:
    severity: Severity
RULES = defaultdict(lambda: RuleDoc(Severity.NOTE))
