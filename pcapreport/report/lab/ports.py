"""How port numbers are classed (RFC 6335 section 6)."""

from __future__ import annotations

from pcapreport.language import Text, phrase
from pcapreport.tcp.connections import REGISTERED_PORTS, WELL_KNOWN_PORTS

DYNAMIC_PORTS = 49152


def port_class(port: int) -> Text:
    """ "well-known (0-1023)", ..., and what many systems use it for all the same."""
    if port < WELL_KNOWN_PORTS:
        return phrase("well-known (0-1023)")
    if port >= DYNAMIC_PORTS:
        return phrase("dynamic, also called ephemeral (49152-65535)")
    if port >= REGISTERED_PORTS:
        return phrase("registered (1024-49151), which Linux uses as ephemeral from 32768 on")
    return phrase("registered (1024-49151)")
