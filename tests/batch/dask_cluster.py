"""A Dask scheduler and two workers, each a process of its own on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE_S = 60


class DaskCluster:
    """Started as a user starts one; `stop` ends it."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0")
        self.address = self._told(self.scheduler, "Scheduler at:").removeprefix("tcp://")
        self.workers = [self.start_worker() for _ in range(workers)]
        for worker in self.workers:
            self._told(worker, "Registered to:")

    def start_worker(self, *more: str) -> subprocess.Popen[bytes]:
        return self.start("worker", f"tcp://{self.address}", "--host", "127.0.0.1", "--nthreads", "1", *more)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        number = len(self.processes)
        command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
        if arguments[0] == "worker":
            command += ["--local-directory", str(self.folder / f"scratch-{number}")]
        environment = {**os.environ, "PYTHONPATH": str(HERE), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
        with (self.folder / f"{number}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        self.processes.append(process)
        return process

    def _told(self, process: subprocess.Popen[bytes], words: str) -> str:
        """What a process's log says behind these words."""
        log = self.folder / f"{self.processes.index(process)}.log"
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            line = next((line for line in log.read_text("utf-8").splitlines() if words in line), None)
            if line:
                return line.split(words)[1].strip()
            time.sleep(0.05)
        raise AssertionError(f"{words!r} is not in\n{log.read_text('utf-8')}")

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
