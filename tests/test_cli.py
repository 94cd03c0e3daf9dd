"""The command line as its users meet it: real processes, their exit status, what is printed and where."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from click import BadParameter
from click.testing import CliRunner

import pcapreport
from pcapreport.cli import cli, main
from pcapreport.findings.rules import RULES
from pcapreport.options import number_of_bytes

SAMPLES = Path(__file__).parents[1] / "sample_pcaps"
REFUSED, CLEAN = SAMPLES / "refused.pcap", SAMPLES / "server-closes-first.pcap"
"""A capture with an error, and one in which nothing went wrong."""
PROGRAM = (sys.executable, "-m", "pcapreport")
PATIENCE = 120
"""Seconds after which a hanging process fails its test; nothing here takes more than a few."""
posix = pytest.mark.skipif(os.name != "posix", reason="signals, pipes and such names are POSIX's")


@dataclass
class Outcome:
    """What a process left behind."""

    code: int
    out: str
    err: str


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PCAPREPORT_")} | dict(more or {})


def run(*arguments: object, cwd: Path, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Outcome:
    """Run the program in `cwd`."""
    command = [*PROGRAM, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=environment(env), input=stdin, capture_output=True, timeout=PATIENCE, check=False
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace"))


Here = Callable[..., Outcome]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """The same in this process, through the same entry point: for the many cases that differ in words only."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PCAPREPORT_")]:
        monkeypatch.delenv(name)

    def call(*arguments: object, env: Mapping[str, str] | None = None) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["pcapreport", *map(str, arguments)])
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        assert isinstance(code, int)
        return Outcome(code, *capfd.readouterr())

    return call


def captures(out: Path) -> dict[str, dict[str, object]]:
    """The lines of the index, by file."""
    return {line["file"]: line for line in json.loads((out / "index.json").read_bytes())["captures"]}


def options(document: Path) -> dict[str, object]:
    return json.loads(document.read_bytes())["options"]


# --- the commands ---------------------------------------------------------------------------------------------------


def test_every_command_of_the_contract_is_there_and_helps() -> None:
    for command in ("report", "show", "rules", "render", "verify", "schema"):
        result = CliRunner().invoke(cli, [command, "--help"])
        assert result.exit_code == 0 and result.output.startswith("Usage: ") and command in result.output


def test_help_and_version_go_to_standard_output(tmp_path: Path) -> None:
    shown = run("--help", cwd=tmp_path)
    assert (shown.code, shown.err) == (0, "") and "report" in shown.out
    shown = run("--version", cwd=tmp_path)
    assert (shown.code, shown.out, shown.err) == (0, f"pcapreport, version {pcapreport.__version__}\n", "")


def test_help_loads_neither_numpy_nor_a_renderer(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "import pcapreport.cli\n"
        "pcapreport.cli.main()\n"
        "assert not {'numpy', 'matplotlib', 'jinja2', 'dpkt', 'msgspec'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=PATIENCE, capture_output=True)


def test_without_a_command_the_help_is_an_error(tmp_path: Path) -> None:
    shown = run(cwd=tmp_path)
    assert (shown.code, shown.out) == (2, "") and shown.err.startswith("Usage: ")


def test_report_writes_pages_documents_and_index_and_names_the_index_last(tmp_path: Path) -> None:
    shown = run("report", REFUSED, CLEAN, cwd=tmp_path)
    assert (shown.code, shown.out) == (0, "pcapreport-out/index.html\n")
    assert shown.err == "2 of 2 captures done\n"
    written = {path.name for path in (tmp_path / "pcapreport-out").iterdir() if not path.name.startswith(".")}
    assert written == {
        "index.csv", "index.html", "index.json", "refused.pcap.html", "refused.pcap.json",
        "server-closes-first.pcap.html", "server-closes-first.pcap.json",
    }  # fmt: skip


def test_quiet_says_nothing_and_verbose_a_line_for_every_capture_on_standard_error_only(here: Here) -> None:
    quiet = here("report", REFUSED, CLEAN, "-q", "-o", "o")
    assert (quiet.out.splitlines(), quiet.err) == (["o/index.html"], "")
    verbose = here("report", REFUSED, CLEAN, "-v", "-o", "o")
    assert verbose.out.splitlines() == ["o/index.html"]
    first, second, last = sorted(verbose.err.splitlines())[1:] + sorted(verbose.err.splitlines())[:1]
    assert first.startswith("refused.pcap: The server refused") and second.startswith("server-closes-first.pcap: ")
    assert last == "2 of 2 captures done, 2 of them by an earlier run"


def test_show_prints_the_verdict_and_a_ladder_and_writes_no_file(here: Here, tmp_path: Path) -> None:
    shown = here("show", REFUSED)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("refused.pcap\n")
    for words in ("The server refused", "SYN-SENT │", "RST, ACK", "connection_refused"):
        assert words in shown.out
    assert list(tmp_path.iterdir()) == []


def test_show_draws_the_connection_asked_for_or_says_there_is_none(here: Here) -> None:
    second = here("show", SAMPLES / "fast-open.pcap", "--connection", 2)
    document = pcapreport.analyze(SAMPLES / "fast-open.pcap")
    ladders = [f"client {c.client.address}:{c.client.port}" for c in document.connections]
    assert second.code == 0 and ladders[1] in second.out and ladders[0] not in second.out
    none = here("show", SAMPLES / "fast-open.pcap", "--connection", 3)
    assert (none.code, none.out) == (2, "")
    assert none.err == "pcapreport: fast-open.pcap: there is no connection 3; connections in it: 2\n"


def test_rules_lists_every_rule_and_explains_each() -> None:
    listing = CliRunner().invoke(cli, ["rules"])
    assert [line.split()[0] for line in listing.output.splitlines()] == list(RULES)
    for rule, page in RULES.items():
        shown = CliRunner().invoke(cli, ["rules", rule])
        assert shown.exit_code == 0 and shown.output.startswith(f"{rule}: {page.title}\n")


def test_an_unknown_rule_is_a_usage_error_with_a_hint(here: Here) -> None:
    shown = here("rules", "unanswered")
    assert (shown.code, shown.out) == (2, "")
    assert "no such rule" in shown.err and "syn_unanswered" in shown.err


def test_render_writes_beside_the_document_or_into_a_directory(here: Here, tmp_path: Path) -> None:
    here("report", REFUSED, "--format", "json", "-o", ".")
    beside = here("render", "refused.pcap.json")
    assert (beside.code, beside.out, beside.err) == (0, "refused.pcap.html\n", "")
    elsewhere = here("render", "refused.pcap.json", "-o", "other", "--format", "md,html")
    assert sorted(elsewhere.out.splitlines()) == ["other/refused.pcap.html", "other/refused.pcap.md"]
    assert (tmp_path / "other/refused.pcap.html").read_bytes() == (tmp_path / "refused.pcap.html").read_bytes()


def test_verify_knows_the_capture_a_report_was_made_from(here: Here, tmp_path: Path) -> None:
    here("report", REFUSED, "--format", "html,json,md,png,zip", "-o", ".")
    for suffix in ("html", "json", "md", "zip"):
        shown = here("verify", f"refused.pcap.{suffix}", REFUSED)
        assert shown.code == 0 and "was made from" in shown.out
    for suffix in ("html", "zip"):
        shown = here("verify", f"refused.pcap.{suffix}", CLEAN)
        assert shown.code == 1 and "was not made from" in shown.out
    shown = here("verify", "refused.pcap.png", CLEAN)
    assert (shown.code, shown.out) == (2, "") and "cannot be searched" in shown.err
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("report.html", "")
    shown = here("verify", "other.zip", CLEAN)
    assert (shown.code, shown.out) == (2, "") and "is no bundle" in shown.err


def test_the_document_is_the_same_in_whatever_company_it_is_written(here: Here, tmp_path: Path) -> None:
    for out, formats in (("a", "json"), ("b", "html,json"), ("c", "zip")):
        here("report", REFUSED, "--format", formats, "-o", out)
    alone = (tmp_path / "a/refused.pcap.json").read_bytes()
    assert alone == (tmp_path / "b/refused.pcap.json").read_bytes()
    with zipfile.ZipFile(tmp_path / "c/refused.pcap.zip") as archive:
        assert archive.read("report.json") == alone


def test_other_formats_than_before_are_made_afresh(here: Here, tmp_path: Path) -> None:
    here("report", REFUSED, "--format", "html", "-o", "o")
    here("report", REFUSED, "--format", "json", "-o", "o")
    assert json.loads((tmp_path / "o/index.json").read_bytes())["captures"][0]["report"] == ""


def test_schema_is_json() -> None:
    result = CliRunner().invoke(cli, ["schema"])
    assert result.exit_code == 0 and "Document" in json.loads(result.output)["$defs"]


# --- exit status ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "level", "code"), [(REFUSED, "error", 1), (REFUSED, "never", 0), (CLEAN, "note", 0)]
)
def test_fail_on_turns_a_finding_into_exit_1(sample: Path, level: str, code: int, here: Here) -> None:
    shown = here("report", sample, "--fail-on", level)
    assert (shown.code, shown.out) == (code, "pcapreport-out/index.html\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report"], "Missing argument 'PATH...'"),
        (["report", "absent"], "absent: no such file or directory"),
        (["report", str(REFUSED), "--bad"], "No such option '--bad'"),
        (["report", str(REFUSED), "--format", "docx"], "'docx': choose from html, json, md"),
        (["report", str(REFUSED), "--fail-on", "fatal"], "'fatal' is not one of"),
        (["report", str(REFUSED), "--jobs", "0"], "'--jobs'"),
        (["report", str(REFUSED), "--timeout", "0"], "'--timeout'"),
        (["report", str(REFUSED), "--time-wait", "nan"], "0 to 3600 seconds"),
        (["report", str(REFUSED), "--time-wait", "beos"], "rfc9293"),
        (["report", str(REFUSED), "--templates", "absent"], "'absent' does not exist"),
        (["report", str(REFUSED), "-o", str(REFUSED)], "is a file"),
        (["show", str(REFUSED), "--connection", "0"], "'--connection'"),
        (["render", "absent.json"], "'absent.json' does not exist"),
        (["verify", "absent", str(REFUSED)], "'absent' does not exist"),
        (["repot"], "No such command 'repot'"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(arguments: list[str], words: str, here: Here, tmp_path: Path) -> None:
    shown = here(*arguments)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("pcapreport: ") and shown.err.count("\n") == 1
    assert words in shown.err
    assert list(tmp_path.iterdir()) == []


def broken_captures() -> dict[str, tuple[bytes, str, bool]]:
    """Name -> (bytes, words of the message, whether a report is possible)."""
    whole = CLEAN.read_bytes()
    third = 24
    for _ in range(2):
        third += 16 + struct.unpack_from("<I", whole, third + 8)[0]
    absurd = bytearray(whole)
    struct.pack_into("<I", absurd, third + 8, 0x7FFF_FFFF)
    return {
        "empty": (b"", "byte 0: is empty", False),
        "short": (whole[:23], "byte 23: the 24-byte pcap header is cut", False),
        "program": (b"\x7fELF\x02\x01\x01" + bytes(57), "byte 0: is an ELF program", False),
        "text": (b"12:00:01 IP 192.0.2.1.1 > 192.0.2.2.2: Flags [S]\n", "byte 0: is text", False),
        "cut": (whole[:-1], "the last record lacks 1 byte", True),
        "absurd": (bytes(absurd), f"byte {third}: record claims 2147483647 captured bytes", True),
    }


@pytest.mark.parametrize("kind", broken_captures())
def test_a_broken_capture_is_one_line_that_says_where_and_no_traceback(kind: str, here: Here, tmp_path: Path) -> None:
    data, words, readable = broken_captures()[kind]
    (tmp_path / "x.pcap").write_bytes(data)
    shown = here("report", "x.pcap")
    assert shown.code == (3 if readable else 4)
    assert shown.out == "pcapreport-out/index.html\n"
    message, summary = shown.err.splitlines()
    assert message.startswith("x.pcap: ") and words in message
    assert summary == "1 of 1 captures done"
    page = tmp_path / "pcapreport-out" / "x.pcap.html"
    assert page.exists() == readable
    assert not readable or "damaged or cut short" in page.read_text()
    assert captures(tmp_path / "pcapreport-out")["x.pcap"]["status"] == ("damaged" if readable else "unreadable")

    shown = here("show", "x.pcap")
    if readable:
        assert shown.code == 3 and "damaged or cut short" in shown.out and shown.err == ""
    else:
        assert (shown.code, shown.out) == (4, "")
        assert shown.err.startswith("pcapreport: x.pcap: ") and words in shown.err and shown.err.count("\n") == 1


def test_some_unreadable_is_exit_3_and_the_rest_is_done(here: Here, tmp_path: Path) -> None:
    shutil.copy(REFUSED, tmp_path)
    (tmp_path / "bad.pcap").write_bytes(b"no capture")
    (tmp_path / "gone.pcap").symlink_to("nowhere")
    shown = here("report", ".")
    assert (shown.code, shown.out) == (3, "pcapreport-out/index.html\n")
    found = {name: line["status"] for name, line in captures(tmp_path / "pcapreport-out").items()}
    assert found == {"bad.pcap": "unreadable", "gone.pcap": "unreadable", "refused.pcap": "ok"}
    assert "gone.pcap: byte 0: cannot be read (No such file or directory)" in shown.err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_one_line(here: Here, tmp_path: Path) -> None:
    shutil.copy(REFUSED, tmp_path / "x.pcap")
    (tmp_path / "x.pcap").chmod(0)
    shown = here("report", "x.pcap")
    assert shown.code == 4 and "x.pcap: byte 0: cannot be read (Permission denied)" in shown.err


def test_a_directory_given_to_show_is_one_line(here: Here) -> None:
    shown = here("show", SAMPLES)
    assert (shown.code, shown.out) == (4, "")
    assert "sample_pcaps" in shown.err and "is a directory" in shown.err and shown.err.count("\n") == 1


def test_no_capture_at_all_is_exit_4_and_said(here: Here, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no capture")
    shown = here("report", "in")
    assert (shown.code, shown.out) == (4, "pcapreport-out/index.html\n")
    assert shown.err == "no captures there, only 1 other file\n0 of 0 captures done\n"


def test_an_output_that_cannot_be_written_is_one_line_and_exit_2(here: Here, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shown = here("report", REFUSED, "-o", "file/out")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("pcapreport: file/out: ") and shown.err.count("\n") == 1


def test_a_time_limit_that_runs_out_is_told(tmp_path: Path) -> None:
    shown = run("report", REFUSED, CLEAN, "--timeout", "0.000001", "--jobs", 2, cwd=tmp_path)
    assert shown.code == 4
    assert "refused.pcap: not finished within 1e-06 s; raise --timeout or cut the capture" in shown.err
    assert {line["status"] for line in captures(tmp_path / "pcapreport-out").values()} == {"timeout"}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[]", b"null", b'{"schema_version": "1.0"}', b'"' + b"x" * 4_000]
)
def test_a_broken_saved_document_is_one_line_and_exit_2(data: bytes, here: Here, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(data)
    shown = here("render", "x.json")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("pcapreport: x.json: is no result document (") and shown.err.count("\n") == 1


def test_the_index_is_no_document_to_render(here: Here) -> None:
    here("report", REFUSED)
    shown = here("render", "pcapreport-out/index.json")
    assert shown.code == 2 and "is no result document" in shown.err


@pytest.mark.parametrize("how", ["option", "environment", "configuration"])
def test_a_traceback_is_shown_with_debug_only(how: str, tmp_path: Path) -> None:
    if how == "configuration":
        (tmp_path / "pyproject.toml").write_text("[tool.pcapreport]\ndebug = true\n")
    asked = ["--debug"] if how == "option" else []
    shown = run("show", "absent", *asked, cwd=tmp_path, env={"PCAPREPORT_DEBUG": "1"} if how == "environment" else {})
    assert shown.code != 0 and "Traceback" in shown.err and "UnreadableCapture" in shown.err


# --- interruption ---------------------------------------------------------------------------------------------------


CAPTURES = 24


@posix
@pytest.mark.parametrize("whom", ["process", "group"])
def test_an_interrupt_leaves_an_index_and_the_next_run_does_the_rest(whom: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(CAPTURES):
        shutil.copy(SAMPLES / "many-short-connections.pcap", tmp_path / "in" / f"{number}.pcap")
    command = [*PROGRAM, "report", "in", "-o", "out", "--jobs", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    give_up = time.monotonic() + PATIENCE
    while len(list((tmp_path / "out").glob("*.pcap.html"))) < 8 and time.monotonic() < give_up:
        time.sleep(0.005)
    (os.killpg if whom == "group" else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "pcapreport: interrupted; run the same command again to do the rest"
    first = captures(tmp_path / "out")
    assert 0 < len(first) < CAPTURES and (tmp_path / "out" / "index.html").exists()

    again = run("report", "in", "-o", "out", "--jobs", 2, cwd=tmp_path)
    assert again.code == 0
    assert again.err == f"{CAPTURES} of {CAPTURES} captures done, {len(first)} of them by an earlier run\n"
    assert len(captures(tmp_path / "out")) == CAPTURES


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_capture_may_come_through_a_pipe(tmp_path: Path) -> None:
    shown = run("report", "-", "-o", "o", cwd=tmp_path, stdin=REFUSED.read_bytes())
    assert (shown.code, shown.out) == (0, "o/index.html\n")
    assert json.loads((tmp_path / "o/stdin.json").read_bytes())["capture"]["file"] == "stdin"
    shown = run("show", "-", cwd=tmp_path, stdin=REFUSED.read_bytes())
    assert shown.code == 0 and shown.out.startswith("stdin\n") and "The server refused" in shown.out


def test_an_empty_pipe_is_told_like_an_empty_file(tmp_path: Path) -> None:
    shown = run("show", "-", cwd=tmp_path)
    assert shown.code == 4 and shown.err.startswith("pcapreport: stdin: byte 0: is empty (0 bytes)")


@posix
@pytest.mark.parametrize("arguments", [["report", "-"], ["show", "-"]])
def test_a_closed_standard_input_is_told(arguments: list[str], tmp_path: Path) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 4
    assert b"stdin: byte 0: cannot be read (it is closed)" in done.stderr and b"Traceback" not in done.stderr


@posix
def test_several_pipes_are_read_even_with_several_workers(tmp_path: Path) -> None:
    ends = []
    for sample in (REFUSED, CLEAN):
        reader, writer = os.pipe()
        os.write(writer, sample.read_bytes())
        os.close(writer)
        ends.append(reader)
    command = [*PROGRAM, "report", "--jobs", "2", "-o", "o", *(f"/dev/fd/{end}" for end in ends)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), pass_fds=ends, capture_output=True, timeout=PATIENCE, check=False
    )
    for end in ends:
        os.close(end)
    assert done.returncode == 0, done.stderr
    assert [line["packets"] for line in captures(tmp_path / "o").values()] == [2, 11]


@posix
@pytest.mark.parametrize(
    "arguments", [["schema"], ["rules"], ["show", str(CLEAN)], ["report", str(CLEAN), "-q"]], ids=lambda a: a[0]
)
def test_a_reader_that_has_gone_away_is_no_news(arguments: list[str], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PROGRAM, *arguments], cwd=tmp_path, env=environment(), stdout=writer, stderr=subprocess.PIPE,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    os.close(writer)
    assert done.stderr == b""


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PROGRAM, "schema"], cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == b"pcapreport: output: No space left on device; check the path and its permissions\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_the_ladders_characters_still_gets_a_ladder(encoding: str, tmp_path: Path) -> None:
    command = [*PROGRAM, "show", str(REFUSED)]
    env = environment({"PYTHONIOENCODING": encoding})
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"SYN-SENT" in done.stdout and b"RST, ACK" in done.stdout


def test_output_into_a_pipe_has_no_control_sequences_whatever_the_environment_says(tmp_path: Path) -> None:
    outputs = [run("show", REFUSED, cwd=tmp_path, env=env).out for env in ({}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"})]
    assert outputs[0] == outputs[1] == outputs[2]
    assert "\x1b" not in outputs[0]


# --- hostile names --------------------------------------------------------------------------------------------------

HOSTILE = ("new\nline.pcap", "\x1b[31mred\x07 rtl\u202egnp \u200bhidden\u2066.pcap")


def everything(reader: int, written: list[bytes]) -> None:
    """All that comes until the other end of a terminal is closed."""
    try:
        while chunk := os.read(reader, 65_536):
            written.append(chunk)
    except OSError:  # how Linux says that the other end is closed
        pass


def on_a_terminal(*arguments: object, cwd: Path) -> bytes:
    """All that the program writes where both its outputs are a terminal."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *map(str, arguments)], cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=theirs,
        stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    written: list[bytes] = []
    everything(ours, written)
    process.wait(PATIENCE)
    os.close(ours)
    return b"".join(written)


@pytest.fixture
def on_a_terminal_here(here: Here, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """The same in this process, for what starts no workers."""
    import pty

    def call(*arguments: object) -> bytes:
        written: list[bytes] = []
        ours, theirs = pty.openpty()
        reading = threading.Thread(target=everything, args=(ours, written))
        reading.start()
        with (
            open(theirs, "w", encoding="utf-8") as out,
            open(os.dup(theirs), "w", encoding="utf-8", errors="backslashreplace") as err,
            monkeypatch.context() as patched,
        ):
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", err)
            here(*arguments)
        reading.join(PATIENCE)
        os.close(ours)
        return b"".join(written)

    return call


@posix
@pytest.mark.parametrize("broken", [False, True], ids=["whole", "broken"])
def test_hostile_names_never_reach_the_terminal_raw(
    broken: bool, on_a_terminal_here: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in HOSTILE:
        (tmp_path / "in" / name).write_bytes(b"junk" if broken else REFUSED.read_bytes())
    paths = [tmp_path / "in" / name for name in HOSTILE]
    runs: list[list[object]] = [
        ["report", "in", "-o", "out"],
        ["report", "in", "-o", "out", "-v"],
        ["report", "absent\x1b[31m\u202e"],
        ["rules", "\x1b[31m\u202e"],
        ["\x1b[31m\u202e"],
        ["report", "in", "--format", "\x1b[31m\u202e"],
        ["render", tmp_path / "in" / HOSTILE[1]],
        ["verify", *paths],
        *(["show", path] for path in paths),
        *([] if broken else [["render", f"out/{name}.json"] for name in HOSTILE]),
    ]
    for number, arguments in enumerate(runs):
        told = on_a_terminal(*arguments, cwd=tmp_path) if number < 2 else on_a_terminal_here(*arguments)
        written = told.decode()
        assert written, arguments
        kept = written.replace("\r\n", "").replace("\r\x1b[K", "")  # the progress line's own
        assert not [c for c in "\x1b\x07\r\u202e\u200b\u2066" if c in kept], (arguments, written)
        assert "new\r\nline" not in written
    assert len(captures(tmp_path / "out")) == len(HOSTILE)


@posix
def test_a_name_that_is_no_utf8_is_reported_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/in/\xff.pcap")).write_bytes(REFUSED.read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    shown = run("report", "in", "-o", "o", "-v", cwd=tmp_path)
    assert shown.code == 0 and "\\xff.pcap: The server refused" in shown.err
    (line,) = captures(tmp_path / "o").values()
    assert (tmp_path / "o" / str(line["report"])).exists()


# --- options from elsewhere -----------------------------------------------------------------------------------------


def test_the_environment_sets_options_and_the_command_line_wins(here: Here, tmp_path: Path) -> None:
    env = {"PCAPREPORT_OUTPUT": "o", "PCAPREPORT_FORMAT": "json", "PCAPREPORT_TIME_WAIT": "bsd",
           "PCAPREPORT_MAX_CONNECTIONS": "3", "PCAPREPORT_FAIL_ON": "error", "PCAPREPORT_QUIET": "1"}  # fmt: skip
    shown = here("report", REFUSED, "--time-wait", "90", env=env)
    assert (shown.code, shown.out, shown.err) == (1, "o/index.html\n", "")
    assert options(tmp_path / "o/refused.pcap.json").items() >= {"time_wait": "90", "max_connections": 3}.items()
    assert not (tmp_path / "o/refused.pcap.html").exists()


def test_pyproject_sets_options_below_the_environment_and_the_command_line(here: Here, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pcapreport]\nformat = ["json"]\noutput = "o"\ntime-wait = 45\nmax-connections = 5\nfail_on = "error"\n'
    )
    env = {"PCAPREPORT_MAX_CONNECTIONS": "6"}
    shown = here("report", REFUSED, "--fail-on", "never", env=env)
    assert (shown.code, shown.out) == (0, "o/index.html\n")
    assert options(tmp_path / "o/refused.pcap.json").items() >= {"time_wait": "45", "max_connections": 6}.items()
    assert not (tmp_path / "o/refused.pcap.html").exists()


def test_every_long_option_can_be_set_from_the_environment_and_pyproject() -> None:
    for name, command in cli.commands.items():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                long = max(parameter.opts, key=len).lstrip("-").replace("-", "_")
                assert parameter.envvar == f"PCAPREPORT_{long.upper()}", (name, parameter.opts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.pcapreport]\ncolour = 1\n", "[tool.pcapreport] has no colour; valid: "),
        ("[tool.pcapreport\n", "correct it"),
        ("tool = 3\n", "tool is no table; correct it"),
        ("[tool]\npcapreport = 3\n", "pcapreport is no table; correct it"),
        ("[tool.pcapreport]\njobs = 'many'\n", "'many' is not a valid integer"),
        ("[tool.pcapreport]\n'a\\u001bb' = 1\n".replace("'", '"'), "a\\x1bb"),
    ],
)
def test_a_wrong_pyproject_is_one_line_and_exit_2(text: str, words: str, here: Here, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    shown = here("report", REFUSED)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("pcapreport: ") and words in shown.err and shown.err.count("\n") == 1
    assert not (tmp_path / "pcapreport-out").exists()


def test_the_pyproject_of_other_tools_is_left_alone(here: Here, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'other'\n[tool.ruff]\nline-length = 9\n")
    assert here("rules").code == 0


def test_templates_of_the_user_replace_the_built_in_ones(here: Here, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html.jinja").write_text("<p>{{ capture.file }}</p>")
    shown = here("report", REFUSED, "--templates", "mine", "-o", "o")
    assert shown.code == 0
    assert (tmp_path / "o/refused.pcap.html").read_text() == "<p>refused.pcap</p>"


def test_a_compressed_capture_may_grow_as_far_as_the_user_says(here: Here, tmp_path: Path) -> None:
    packed = tmp_path / "big.pcap.gz"
    packed.write_bytes(gzip.compress(CLEAN.read_bytes()))
    shown = here("report", str(packed), "-o", "o", "--max-input", "200")
    assert shown.code == 3 and "more than 200 bytes" in shown.err
    assert here("report", str(packed), "-o", "o", "--max-input", "1M").code == 0


@pytest.mark.parametrize("option", ["--memory", "--max-size", "--max-input"])
def test_sizes_are_bytes_with_a_letter_or_refused(option: str, here: Here) -> None:
    shown = here("report", REFUSED, option, "lots")
    assert shown.code == 2 and "500M" in shown.err


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [("10MB", 10_000_000), ("10 MB", 10_000_000), ("10MiB", 10 << 20), ("2M", 2 << 20), ("2g", 2 << 30), ("7", 7)]
    + [("7 B", 7), ("3kB", 3_000)],
)
def test_sizes_may_be_written_as_people_do(given: str, bytes_: int) -> None:
    assert number_of_bytes(None, None, given) == bytes_


@pytest.mark.parametrize("given", ["0", "MB", "1.5M", "-1", "10i", "10iB", "10XB", "1 0M"])
def test_other_sizes_are_refused(given: str) -> None:
    with pytest.raises(BadParameter, match="500M"):
        number_of_bytes(None, None, given)
