"""What several tests of reading captures share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .wireshark import Wireshark, running


@pytest.fixture(scope="session")
def wireshark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wireshark]:
    """Wireshark, for the tests that are marked with needs_wireshark."""
    with running(tmp_path_factory.mktemp("wireshark")) as process:
        yield process
