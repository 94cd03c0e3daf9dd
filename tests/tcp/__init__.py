"""Tests of the TCP core."""
