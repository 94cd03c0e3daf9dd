"""The kernel's trace: state changes of sockets and the timers of TIME-WAIT mini-sockets, in an instance of its own."""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

TRACEFS = Path("/sys/kernel/tracing")
_STATES, _START, _EXPIRE = "sock/inet_sock_set_state", "timer/timer_start", "timer/timer_expire_entry"
_HEAD = re.compile(r"^\s*.+-(\d+)\s+\[(\d+)\]\s+\S+\s+(\d+)\.(\d+): (\w+): (.*)$")
_FIELD = re.compile(r"(\w+)=(\S+)")
_TIMEOUT = re.compile(r"timeout=(-?\d+)")
RESOLUTION = 1000
"""Moments are cut to microseconds: the true one is up to this many ns later."""


class StateChange(NamedTuple):
    """A socket went from one state to another, in the kernel's words."""

    at: int
    cpu: int
    local: tuple[str, int]
    remote: tuple[str, int]
    old: str
    new: str


class TimerEvent(NamedTuple):
    """A TIME-WAIT timer was set (``timeout`` in jiffies) or ran out (``timeout`` None)."""

    at: int
    cpu: int
    timer: str
    timeout: int | None


Event = StateChange | TimerEvent


class KernelTrace:
    """Records from ``start`` to ``stop``; the times are those of the monotonic clock."""

    def __init__(self) -> None:
        mount()
        self._folder = TRACEFS / "instances" / f"tcp-lab-{uuid.uuid4().hex[:12]}"
        self._folder.mkdir()
        self._write("buffer_size_kb", "2048")
        self._write("trace_clock", "mono")
        for event in (_START, _EXPIRE):
            self._write(f"events/{event}/filter", "function.function == tw_timer_handler")

    def start(self) -> None:
        """Forget what was recorded and record."""
        self._write("trace", "")
        for event in (_STATES, _START, _EXPIRE):
            self._write(f"events/{event}/enable", "1")

    def stop(self) -> list[Event]:
        """End the recording; its events in the order of time."""
        for event in (_STATES, _START, _EXPIRE):
            self._write(f"events/{event}/enable", "0")
        text = (self._folder / "trace").read_text()
        return sorted(parse(text.splitlines()), key=lambda event: event.at)

    def close(self) -> None:
        """Remove the instance."""
        with suppress(OSError):
            os.rmdir(self._folder)

    def _write(self, name: str, value: str) -> None:
        (self._folder / name).write_text(value)


def mount() -> None:
    """Mount tracefs where it is not; raises OSError where that is not allowed."""
    if not (TRACEFS / "instances").is_dir():
        done = subprocess.run(["mount", "-t", "tracefs", "tracefs", str(TRACEFS)], capture_output=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.decode().strip() or "tracefs cannot be mounted")
    if not (TRACEFS / "events" / _STATES).is_dir():
        raise OSError(f"the kernel has no tracepoint {_STATES}")


def parse(lines: Iterable[str]) -> Iterator[Event]:
    """Events of a trace as text."""
    for line in lines:
        head = _HEAD.match(line)
        if head is None:
            continue
        _, cpu, seconds, micros, name, rest = head.groups()
        at = int(seconds) * 10**9 + int(micros.ljust(9, "0"))
        fields = dict(_FIELD.findall(rest))
        if name == "inet_sock_set_state" and fields["protocol"] == "IPPROTO_TCP":
            six = fields["family"] == "AF_INET6"
            source, target = (str(ip_address(fields[key + "v6" * six])) for key in ("saddr", "daddr"))
            local, remote = (source, int(fields["sport"])), (target, int(fields["dport"]))
            old, new = (fields[key].removeprefix("TCP_") for key in ("oldstate", "newstate"))
            yield StateChange(at, int(cpu), local, remote, old, new)
        elif name == "timer_start":
            timeout = _TIMEOUT.search(rest)
            yield TimerEvent(at, int(cpu), fields["timer"], int(timeout[1]) if timeout else 0)
        elif name == "timer_expire_entry":
            yield TimerEvent(at, int(cpu), fields["timer"], None)
