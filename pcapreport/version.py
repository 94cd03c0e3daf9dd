"""The version, in the one place that packaging and reports read it from."""

__version__ = "0.1.0"
