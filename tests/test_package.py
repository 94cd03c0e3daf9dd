"""What is installed works: wheel and source archive hold the templates, and the program needs no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample_pcaps" / "refused.pcap"
NEEDED = 77
"""The major version of setuptools that pyproject.toml asks for."""
LITTER = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "pcapreport-out")


def call(*command: object, cwd: Path, paths: tuple[Path, ...] = ()) -> str:
    """Run a command outside of the checkout; its output."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PCAPREPORT_", "PYTHONPATH"))}
    env |= {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments: object, cwd: Path, paths: tuple[Path, ...] = ()) -> str:
    return call(sys.executable, "-m", "pip", "--quiet", *arguments, cwd=cwd, paths=paths)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Import paths that hold a new enough setuptools: none more than usual, or a fresh one where CI demands it."""
    try:
        present = int(version("setuptools").split(".")[0])
    except PackageNotFoundError:
        present = 0
    if present >= NEEDED:
        return ()
    if os.environ.get("CI") != "true":
        pytest.skip(f"building needs setuptools {NEEDED} or later, here is {present or 'none'}; CI=true fetches it")
    fresh = tmp_path_factory.mktemp("backend")
    pip("install", "--target", fresh, f"setuptools>={NEEDED}", "wheel", cwd=fresh)
    return (fresh,)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout once more, so that building leaves nothing behind in it."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("checkout") / "tree", ignore=LITTER))


def build_wheel(source: Path, out: Path, backend: tuple[Path, ...]) -> Path:
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", out, source, cwd=out, paths=backend)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(checkout: Path, backend: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(checkout, tmp_path_factory.mktemp("wheel"), backend)


@pytest.fixture(scope="module")
def archive(checkout: Path, backend: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive."""
    out = tmp_path_factory.mktemp("sdist")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})"
    call(sys.executable, "-c", code, cwd=checkout, paths=backend)
    (found,) = out.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", target, wheel, cwd=target)
    return target


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return {name for name in file.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_every_module_and_template_and_nothing_else(wheel: Path) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pcapreport").rglob("*.py")}
    templates = {
        f"pcapreport/templates/{path.name}"
        for path in (ROOT / "templates").iterdir()
        if path.suffix in (".py", ".jinja", ".css", ".js")
    }
    catalogues = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pcapreport" / "locale").rglob("*.mo")}
    assert contents(wheel) == modules | templates | catalogues | {"pcapreport/py.typed"}
    assert catalogues
    assert {"style.css", "script.js", "report.html.jinja"} <= {Path(name).name for name in templates}


def test_the_source_archive_builds_the_same_wheel(
    wheel: Path, archive: Path, backend: tuple[Path, ...], tmp_path: Path
) -> None:
    with tarfile.open(archive) as file:
        file.extraction_filter = getattr(tarfile, "data_filter", None)  # the first releases of Python 3.11 have none
        file.extractall(tmp_path / "source")
    (source,) = (tmp_path / "source").iterdir()
    (tmp_path / "out").mkdir()
    assert contents(build_wheel(source, tmp_path / "out", backend)) == contents(wheel)
    assert (source / "LICENSE").exists() and (source / "README.md").exists()


def test_the_installed_program_writes_a_report_far_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = call(
        sys.executable, "-c", "import pcapreport, pcapreport.templates as t; print(pcapreport.__file__, t.__file__)",
        cwd=tmp_path, paths=(installed,),
    )  # fmt: skip
    assert where.split() == [str(installed / "pcapreport" / part) for part in ("__init__.py", "templates/__init__.py")]
    told = call(
        sys.executable, "-m", "pcapreport", "report", SAMPLE, "--format", "html,json,md", cwd=tmp_path,
        paths=(installed,),
    )  # fmt: skip
    assert told == "pcapreport-out/index.html\n"
    page = (tmp_path / "pcapreport-out" / "refused.pcap.html").read_text()
    for template in ("style.css", "script.js"):
        text = (installed / "pcapreport" / "templates" / template).read_text().strip()
        assert text and text in page
    assert "The server refused" in page and "<svg" in page


def test_the_installed_command_starts(installed: Path, tmp_path: Path) -> None:
    scripts = {path.stem: path for path in (installed / "bin").iterdir()}
    shown = call(scripts["pcapreport"], "--version", cwd=tmp_path, paths=(installed,))
    assert shown.startswith("pcapreport, version ")
