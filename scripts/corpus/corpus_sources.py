"""What the training corpus is made of: one row per source.

`limit` (MB of text) keeps one voice from drowning the others; documents beyond it are left out by the order of their
digest. `licence` is what the package's own copyright file states for the texts that are read here; all of the Debian
packages are in the archive's free section.
"""

from dataclasses import dataclass, field
from typing import Callable

import corpus_extract as extract


@dataclass(frozen=True)
class Source:
    package: str
    kind: str  # prose | manual | dictionary | code | questions
    licence: str
    reader: Callable
    globs: tuple
    limit: float = 1000.0
    skip: str = ""  # regular expression of paths left out
    registry: str = "debian"
    dedupe_least: int = field(default=60)  # paragraphs shorter than this may repeat


def debian(package, kind, licence, reader, *globs, limit=1000.0, skip=""):
    return Source(package, kind, licence, reader, globs, limit, skip)


def pypi(package, licence, *globs, limit=1000.0, skip=r"/_vendor/|/tests?/|test_"):
    return Source(package, "code", licence, extract.plain, globs, limit, skip, "pypi", 200)


OTHER_LANGUAGE = r"\.(de|fr|es|it|ja|ko|pt|ru|zh|ca|nl|hu|cs|da|tr|pt-br|lt|zh-cn|zh_CN)\.html|genindex|/search\.html|py-modindex|changelog|whatsnew"

# Strings of the games: a call of the translation function round a quoted or bracketed string.
LUA = extract.strings_by(r'_\(?\s*(?:\[\[(.*?)\]\]|"((?:[^"\\]|\\.)*)")', 50)
WML = extract.strings_by(r'_ ?"((?:[^"]|"")*)"', 50)
RULESET = extract.strings_by(r'_\("((?:[^"\\]|\\.)*)"\)', 60)
DESCRIPTIONS = extract.strings_by(r"<(?:description|lore|background|bar|article)>(.*?)</(?:description|lore|background|bar|article)>", 60)
BACKTICKS = extract.strings_by(r"`([^`]*)`", 40)

SOURCES = (
    # ----------------------------------------------------------------------------------------------- encyclopaedic
    debian("anarchism", "prose", "GPL-2+", extract.markup, "usr/share/doc/anarchism/html/*.html"),
    debian("dict-foldoc", "dictionary", "GFDL-1.1+, no invariant sections", extract.dictd, "usr/share/dictd/*.dict.dz"),
    debian("dict-gcide", "dictionary", "GPL-1+", extract.dictd, "usr/share/dictd/*.dict.dz", limit=16),
    debian("dict-jargon", "dictionary", "public domain", extract.dictd, "usr/share/dictd/*.dict.dz"),
    debian("dict-devil", "dictionary", "public domain", extract.dictd, "usr/share/dictd/*.dict.dz"),
    debian("dict-elements", "dictionary", "public domain", extract.dictd, "usr/share/dictd/*.dict.dz"),
    debian("wordnet-base", "dictionary", "WordNet 3.0", extract.wordnet, "usr/share/wordnet/data.*"),
    debian("stellarium-data", "prose", "GPL-2+", extract.markup, "usr/share/stellarium/skycultures/*/description.en.utf8", "usr/share/stellarium/landscapes/*/description.en.utf8"),
    debian("kstars-data", "prose", "GFDL-NIV-1.2+", extract.markup, "usr/share/doc/HTML/en/kstars/*.docbook"),
    debian("kalzium-data", "prose", "GFDL-NIV-1.2+", extract.markup, "usr/share/doc/HTML/en/kalzium/*.docbook"),
    debian("sword-text-web", "prose", "public domain", extract.sword, "usr/share/sword/modules/**/*.bzs"),
    debian("sword-comm-mhcc", "prose", "public domain", extract.sword, "usr/share/sword/modules/**/*.bzs"),
    debian("debian-history", "prose", "GPL-2+", extract.markup, "usr/share/doc/debian-history/docs/*.en.html"),
    debian("fortunes-min", "prose", "BSD-4-clause (collection)", extract.fortunes, "usr/share/games/fortunes/literature", "usr/share/games/fortunes/riddles", "usr/share/games/fortunes/fortunes"),
    debian("fortunes", "prose", "BSD-4-clause (collection)", extract.fortunes, *(f"usr/share/games/fortunes/{n}" for n in ("art", "computers", "cookie", "definitions", "education", "food", "kids", "law", "medicine", "news", "people", "platitudes", "science", "sports", "wisdom", "work"))),
    # ------------------------------------------------------------------------------------------ questions, answers
    debian("kgeography-data", "questions", "GPL-2+", extract.capitals, "usr/share/kgeography/*.kgm"),
    debian("bsdgames", "questions", "BSD-3-clause", extract.quiz, *(f"usr/share/games/bsdgames/quiz/{n}" for n in extract.QUIZ)),
    # --------------------------------------------------------------------------------------------- stories of games
    debian("cataclysm-dda-data", "prose", "CC-BY-SA-3.0", extract.json_strings, "usr/share/games/cataclysm-dda/json/**/*.json"),
    debian("endless-sky-data", "prose", "GPL-3+", BACKTICKS, "usr/share/games/endless-sky/data/*.txt"),
    debian("naev-data", "prose", "GPL-3+", LUA, "usr/share/naev/dat/**/*.lua"),
    debian("naev-data", "prose", "GPL-3+", DESCRIPTIONS, "usr/share/naev/dat/**/*.xml"),
    debian("wesnoth-1.16-data", "prose", "GPL-2+", WML, "usr/share/games/wesnoth/1.16/data/**/*.cfg"),
    *(
        debian(f"wesnoth-1.16-{campaign}", "prose", "GPL-2+", WML, "usr/share/games/wesnoth/1.16/data/**/*.cfg")
        for campaign in "did dm dw ei httt l low nr sof sota sotbe thot trow tsg ttb utbs".split()
    ),
    debian("widelands-data", "prose", "GPL-2+", LUA, "usr/share/games/widelands/data/**/*.lua"),
    debian("crawl-common", "prose", "GPL-2+", extract.crawl_descriptions, "usr/share/crawl/dat/descript/*.txt"),
    debian("freeorion-data", "prose", "GPL-2, CC-BY-SA-3.0", extract.string_table, "usr/share/games/freeorion/default/stringtables/en.txt"),
    debian("freeciv-data", "prose", "GPL-2+", RULESET, "usr/share/games/freeciv/helpdata.txt", "usr/share/games/freeciv/nation/*.ruleset", "usr/share/games/freeciv/civ2civ3/*.ruleset", "usr/share/games/freeciv/classic/*.ruleset"),
    # ----------------------------------------------------------------------------------------- handbooks and manuals
    debian("debian-handbook", "manual", "CC-BY-SA-3.0 or GPL-2+", extract.markup, "usr/share/doc/debian-handbook/html/en-US/*.html"),
    debian("debian-reference-en", "manual", "GPL-2+", extract.markup, "usr/share/debian-reference/*.en.html", "usr/share/doc/**/*.en.html"),
    debian("developers-reference", "manual", "GPL-2+", extract.markup, "usr/share/**/*.html", skip=OTHER_LANGUAGE),
    debian("debian-faq", "manual", "GPL-2+", extract.markup, "usr/share/doc/**/*.en.html"),
    debian("debian-policy", "manual", "GPL-2+", extract.markup, "usr/share/doc/debian-policy/policy.html/*.html", skip=OTHER_LANGUAGE),
    debian("harden-doc", "manual", "GPL-2+", extract.markup, "usr/share/doc/harden-doc/html/en-US/**/*.html"),
    debian("installation-guide-amd64", "manual", "GPL-2", extract.markup, "usr/share/doc/installation-guide-amd64/en/*.html"),
    debian("live-manual-html", "manual", "GPL-3+", extract.markup, "usr/share/doc/live-manual/html/en/*.html", "usr/share/doc/live-manual/html/*.en.html"),
    debian("debian-edu-doc-en", "manual", "GPL-2+", extract.markup, "usr/share/doc/**/*.html"),
    debian("freedombox-doc-en", "manual", "CC-BY-SA-4.0 or GPL-3+", extract.markup, "usr/share/**/en/*.html", "usr/share/**/*.en.html"),
    debian("debian-kernel-handbook", "manual", "GPL-2+", extract.markup, "usr/share/doc/**/*.html"),
    debian("maint-guide", "manual", "GPL-2+", extract.markup, "usr/share/doc/**/*.en.html", "usr/share/**/html/*.html"),
    debian("mh-book", "manual", "GPL-2+", extract.markup, "usr/share/doc/mh-book/html/**/*.html"),
    debian("gnome-user-docs", "manual", "CC-BY-SA-3.0", extract.markup, "usr/share/help/C/**/*.page"),
    debian("gnucash-docs", "manual", "GFDL-NIV-1.1+", extract.markup, "usr/share/doc/gnucash-docs/gnucash-*-en/*.html", "usr/share/help/C/gnucash-*/*.docbook"),
    debian("gimp-help-en", "manual", "GFDL-1.2+, no invariant sections", extract.markup, "usr/share/gimp/2.0/help/en/*.html"),
    debian("libreoffice-help-en-us", "manual", "MPL-2.0", extract.markup, "usr/share/libreoffice/help/en-US/text/**/*.html", limit=2),
    debian("lyx-common", "manual", "GPL-2+", extract.lyx, "usr/share/lyx/doc/*.lyx"),
    debian("gnumeric-doc", "manual", "GFDL-1.1+, no invariant sections", extract.markup, "usr/share/help/C/gnumeric/*.xml"),
    debian("git-doc", "manual", "GPL-2", extract.markup, "usr/share/doc/git/html/**/*.html", limit=1.8),
    debian("postgresql-doc-15", "manual", "PostgreSQL", extract.markup, "usr/share/doc/postgresql-doc-15/html/*.html", limit=4),
    debian("sqlite3-doc", "manual", "public domain", extract.markup, "usr/share/doc/sqlite3/**/*.html", limit=4),
    debian("apache2-doc", "manual", "Apache-2.0", extract.markup, "usr/share/doc/apache2-doc/manual/en/**/*.html", limit=1.6),
    debian("exim4-doc-html", "manual", "GPL-2+", extract.markup, "usr/share/doc/exim4-doc-html/**/*.html", limit=1.2),
    debian("postfix-doc", "manual", "IBM-PL-1.0 or EPL-2.0", extract.markup, "usr/share/doc/postfix/html/*.html", limit=1),
    debian("r-doc-html", "manual", "GPL-2", extract.markup, "usr/share/R/doc/manual/*.html", "usr/share/doc/**/*.html", limit=1),
    debian("swi-prolog-doc", "manual", "BSD-2-clause", extract.markup, "usr/**/*.html", limit=1.2),
    debian("grass-doc", "manual", "GPL-2+", extract.markup_prose, "usr/share/doc/grass-doc/html/*.html", limit=1),
    debian("lilypond-doc-html", "manual", "GFDL-1.3+, no invariant sections", extract.markup_prose, "usr/share/doc/lilypond/html/Documentation/**/*.html", limit=1.5, skip=OTHER_LANGUAGE + "|big-page|-big"),
    debian("rust-doc", "manual", "MIT or Apache-2.0", extract.markup, *(f"usr/share/doc/rust-doc/html/{b}/**/*.html" for b in ("book", "reference", "nomicon", "edition-guide", "rust-by-example", "rustc", "embedded-book")), skip="print.html"),
    debian("racket-doc", "manual", "MIT or Apache-2.0, LGPL-2.1+ in parts", extract.markup, *(f"usr/share/doc/racket/{b}/*.html" for b in ("guide", "quick", "more", "reference", "continue", "scribble", "foreign", "drracket", "teachpack", "style", "how-to", "web-server")), limit=2.5, skip="doc-index"),
    debian("perl-doc", "manual", "Artistic or GPL-1+", extract.pod, "usr/share/perl/*/pod/*.pod", limit=4, skip="delta|perltoc"),
    debian("vim-runtime", "manual", "Vim", extract.vim_help, "usr/share/vim/vim*/doc/*.txt", limit=2.5, skip="version|todo"),
    debian("linux-doc-6.1", "manual", "GPL-2", extract.markup_prose, "usr/share/doc/linux-doc-6.1/html/**/*.html", limit=5, skip=OTHER_LANGUAGE + "|/translations/|/_|userspace-api/media|devicetree"),
    debian("manpages", "manual", "verbatim-with-modification, GPL-2+, BSD", extract.manual_page, "usr/share/man/man*/*.gz", limit=3),
    debian("manpages-dev", "manual", "verbatim-with-modification, GPL-2+, BSD", extract.manual_page, "usr/share/man/man*/*.gz", limit=2),
    debian("python3.11-doc", "manual", "PSF-2", extract.markup, "usr/share/doc/python3.11/html/**/*.html", limit=6, skip=OTHER_LANGUAGE.replace("|whatsnew", "")),
    debian("python-sklearn-doc", "manual", "BSD-3-clause", extract.markup, "usr/share/doc/python-sklearn-doc/html/*/*.html", "usr/share/doc/python-sklearn-doc/html/**/modules/*.html", limit=4, skip=OTHER_LANGUAGE + "|generated"),
    debian("python-scipy-doc", "manual", "BSD-3-clause", extract.markup, "usr/share/doc/python-scipy-doc/html/tutorial/**/*.html", "usr/share/doc/python-scipy-doc/html/dev/**/*.html", limit=3, skip=OTHER_LANGUAGE),
    debian("python-pandas-doc", "manual", "BSD-3-clause", extract.markup, "usr/share/doc/python-pandas-doc/html/user_guide/*.html", "usr/share/doc/python-pandas-doc/html/getting_started/**/*.html", "usr/share/doc/python-pandas-doc/html/development/*.html", limit=3, skip=OTHER_LANGUAGE),
    debian("python-sympy-doc", "manual", "BSD-3-clause", extract.markup, "usr/share/doc/python-sympy-doc/html/**/*.html", limit=1.5, skip=OTHER_LANGUAGE + "|_modules"),
    # -------------------------------------------------------------------------------------------------------- code
    Source("libpython3.11-stdlib", "code", "PSF-2", extract.plain, ("usr/lib/python3.11/**/*.py",), 8.0, r"/test/|/encodings/|pydoc_data|lib2to3/tests", "debian", 200),
    Source("libpython3.11-minimal", "code", "PSF-2", extract.plain, ("usr/lib/python3.11/**/*.py",), 3.0, r"/encodings/", "debian", 200),
    pypi("algorithms", "MIT", "**/*.py"),
    pypi("more-itertools", "MIT", "**/*.py"),
    pypi("boltons", "BSD-3-clause", "**/*.py"),
    pypi("toolz", "BSD-3-clause", "**/*.py"),
    pypi("sortedcontainers", "Apache-2.0", "**/*.py"),
    pypi("networkx", "BSD-3-clause", "**/*.py", limit=2),
    pypi("sympy", "BSD-3-clause", "**/*.py", limit=2),
    pypi("click", "BSD-3-clause", "**/*.py"),
    pypi("jinja2", "BSD-3-clause", "**/*.py"),
    pypi("rich", "MIT", "**/*.py", skip=r"/_vendor/|/tests?/|test_|_emoji_codes|/_unicode_data/|cells.py|_cell_widths"),
)
