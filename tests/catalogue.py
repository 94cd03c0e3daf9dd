"""The translations' catalogues: what the program says, gathered, and compiled for gettext. Needs Babel.

python -m tests.catalogue update    # gather all forms, put new ones into each .po, drop those no longer used
python -m tests.catalogue compile   # .po -> .mo, which the program reads
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from pcapreport.cli import cli
from pcapreport.findings.rules import RULES
from pcapreport.language import BETWEEN_SENTENCES, LANGUAGES, LOCALE
from pcapreport.thresholds import thresholds

ROOT = Path(__file__).parent.parent
KEYWORDS = {
    "phrase": None,
    "translated": None,
    "counted": (2, 3),
    "forms": (1, 2),
    "joined": (2,),
}
SEPARATORS = (", ",)
"""What `joined` uses by itself."""
OPTIONS = {"trimmed": "true", "silent": "false"}


@cache
def forms() -> tuple[str | tuple[str, str], ...]:
    """Every form of the program's texts, each once; a pair where the number decides."""
    seen: dict[str, str | tuple[str, str]] = {}
    sources = (("pcapreport", "**/*.py", "python", {}), ("templates", "*.jinja", "jinja2", {"_": None}))
    for folder, pattern, method, more in sources:
        for path in sorted((ROOT / folder).glob(pattern)):
            with path.open("rb") as file:
                for _, message, _, _ in extract(method, file, KEYWORDS | more, (), OPTIONS):
                    both = tuple(message) if isinstance(message, tuple | list) else message
                    seen.setdefault(both[0] if isinstance(both, tuple) else both, both)
    meanings = (threshold.means for threshold in thresholds().values())
    for text in (*SEPARATORS, *_manual(), *meanings, *_help()):
        seen.setdefault(text, text)
    return tuple(both for both in seen.values() if both and both != BETWEEN_SENTENCES)


def _manual() -> Iterator[str]:
    """The texts of the rules' pages, and their ids as words."""
    for doc in RULES.values():
        yield doc.id.replace("_", " ")
        told = (doc.title, doc.means, doc.why_it_matters, doc.likely_causes, doc.what_to_do, doc.known_problems)
        yield from (text for text in told if text)


def _help() -> Iterator[str]:
    """The help of all commands and of their options."""
    for command in (cli, *cli.commands.values()):
        told = [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
        yield from (text for text in told if text)


def po_path(language: str) -> Path:
    return Path(LOCALE) / language / "LC_MESSAGES" / "pcapreport.po"


def read(language: str) -> Catalog:
    """The catalogue as it stands; empty where there is none."""
    path = po_path(language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def updated(language: str) -> Catalog:
    """With exactly the forms of today, those translated already as they are."""
    before, after = (
        read(language),
        Catalog(locale=language, project="pcapreport", last_translator="", language_team="", msgid_bugs_address=""),
    )
    after.fuzzy = False
    after.header_comment = f"# What pcapreport says, in {after.locale.english_name}."
    after.revision_date = after.creation_date = before.creation_date
    for form in forms():
        known = before.get(form)
        after.add(form, known.string if known is not None else "", flags=known.flags if known is not None else ())
    return after


def written(catalogue: Catalog) -> bytes:
    buffer = io.BytesIO()
    write_po(buffer, catalogue, width=120, no_location=True, sort_output=False)
    return buffer.getvalue()


def compiled(catalogue: Catalog) -> bytes:
    buffer = io.BytesIO()
    write_mo(buffer, catalogue)
    return buffer.getvalue()


def main(command: str) -> None:
    for language in LANGUAGES[1:]:
        path = po_path(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        if command == "update":
            path.write_bytes(written(updated(language)))
        path.with_suffix(".mo").write_bytes(compiled(read(language)))
        lacking = [
            m for m in read(language) if m.id and not all(m.string if isinstance(m.string, tuple) else [m.string])
        ]
        print(f"{path.relative_to(ROOT)}: {len(read(language))} texts, {len(lacking)} untranslated")


if __name__ == "__main__":
    if sys.argv[1:] not in (["update"], ["compile"]):
        sys.exit(__doc__)
    main(sys.argv[1])
