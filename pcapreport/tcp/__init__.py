"""Connections and what each end's TCP went through. Pure: no input or output, no clock, RFC 9293's words only."""
