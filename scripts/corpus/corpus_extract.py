"""Readers that turn the files of a package into plain paragraphs of English text.

Each reader takes a path and yields documents (str); paragraphs within one are separated by an empty line. They are
regular expressions, not parsers: what matters is prose of decent quality, and that a reader has no dependency.
"""

import base64
import bz2
import gzip
import html
import json
import re
import struct
import zlib

# ------------------------------------------------------------------------------------------------------- plain files


def read_text(path):
    raw = path.read_bytes()
    if path.suffix in (".gz", ".dz"):
        raw = gzip.decompress(raw)
    elif path.suffix == ".bz2":
        raw = bz2.decompress(raw)
    try:
        return raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return raw.decode("latin-1").replace("\r\n", "\n")


def flatten(paragraph):
    return re.sub(r"\s+", " ", paragraph).strip()


def plain(path):
    """Text as it is, tabs kept: for programs and for text whose line breaks mean something."""
    yield read_text(path)


def wrapped(path):
    """Hard-wrapped prose: lines of a paragraph are joined unless they look like a list, a table or code."""
    paragraphs = []
    for block in re.split(r"\n\s*\n", read_text(path)):
        lines = block.split("\n")
        prose = len(lines) > 1 and sum(len(line) > 50 for line in lines[:-1]) >= 0.8 * (len(lines) - 1)
        paragraphs.append(flatten(block) if prose else block.rstrip())
    yield "\n\n".join(paragraphs)


# ------------------------------------------------------------------------------------------------------------ markup

# Where the text proper begins, most telling mark first: pages carry menus in front of it.
MAIN_STARTS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"<main\b|<[^>]*role=\"main\"",
        r"<div[^>]*class=\"body\"",
        r"<div[^>]*class=\"(?:document|book|chapter|maincolumn)\"",
        r"<div[^>]*id=\"(?:content|main-content|page-content|DisplayArea|docContent)\"",
        r"<article\b",
        r"<body\b",
    )
)
MAIN_END = re.compile(
    r"</main>|<div[^>]*class=\"(?:sphinxsidebar|related|navfooter|nav)\"|<footer\b|</article>\s*</div>|</body>", re.I
)
DROPPED = re.compile(
    r"<(script|style|nav|head|header|table|svg|form|select|indexterm|math|mediaobject|info|bookinfo)\b.*?</\1>"
    r"|<!--.*?-->|<!\[CDATA\[|\]\]>|<\?.*?\?>"
    r"|<(?:div|ul|ol|p)[^>]*class=\"(?:toc|navheader|navfooter|toctree-wrapper[^\"]*|contents[^\"]*|breadcrumb[^\"]*|"
    r"headerlink|navset\w+)\".*?</(?:div|ul|ol|p)>|<a class=\"headerlink\".*?</a>",
    re.I | re.S,
)
PRE = re.compile(r"<(pre|programlisting|screen|code mime[^>]*)\b[^>]*>(.*?)</(?:pre|programlisting|screen|code)>", re.I | re.S)
BLOCK = re.compile(
    r"</?(?:p|para|div|section|sect\d|h[1-6]|title|ul|ol|dl|dt|dd|li|listitem|item|blockquote|tr|page|note|steps|list|"
    r"chapter|article|figure|figcaption|aside|simpara|formalpara|br\s*/?\s*><br)\b[^>]*>",
    re.I,
)
TAG = re.compile(r"<[^>]+>")


def markup_to_text(source, code=True):
    """HTML, DocBook or Mallard to paragraphs; headings stand alone, list items get a dash, tables are dropped."""
    start = next(filter(None, (pattern.search(source) for pattern in MAIN_STARTS)), None)
    if start:
        source = source[start.start() :]
        end = MAIN_END.search(source, 20)
        if end and end.start() > 200:
            source = source[: end.start()]
    source = DROPPED.sub(" ", source)
    kept = []

    def stash(match):
        kept.append(html.unescape(TAG.sub("", match.group(2))).strip("\n").expandtabs(4))
        return f"<p>\x00{len(kept) - 1}\x00</p>"

    source = PRE.sub(stash, source)
    source = re.sub(r"<(?:li|listitem|item)\b[^>]*>", "<p>- ", source)
    source = re.sub(r"(?:<br\s*/?>\s*){2,}", "<p>", source)
    paragraphs = []
    for piece in BLOCK.split(source):
        text = flatten(html.unescape(TAG.sub("", piece))).replace("¶", "").strip()
        stashed = re.fullmatch(r"\x00(\d+)\x00", text)
        if stashed:
            if code:
                paragraphs.append(kept[int(stashed.group(1))])
        elif len(text) > 2 and text != "-":
            paragraphs.append(text)
    # A dash whose text opened another block comes out alone in front of it.
    return re.sub(r"(^|\n\n)-\n\n", r"\1- ", "\n\n".join(paragraphs))


def markup(path):
    yield markup_to_text(read_text(path))


def markup_prose(path):
    yield markup_to_text(read_text(path), code=False)


ROFF_ESCAPES = {"-": "-", "(aq": "'", "(dq": '"', "(co": "©", "(em": "—", "(en": "–", "(bu": "•", "e": "\\", "&": ""}


def manual_page(path):
    """roff of the man macros: section heads, paragraphs and tagged lists, fonts removed."""
    out, paragraph, verbatim = [], [], False

    def close():
        if paragraph:
            out.append(("\n" if verbatim else " ").join(paragraph))
            paragraph.clear()

    for line in read_text(path).split("\n"):
        line = re.sub(r"\\\".*$", "", line)
        line = re.sub(r"\\f(?:\(..|\[[^\]]*\]|.)|\\s[-+]?\d", "", line)
        line = re.sub(
            r"\\(\([a-z]{2}|\[[^\]]*\]|.)",
            lambda m: ROFF_ESCAPES.get(m.group(1).replace("[", "(").rstrip("]"), " " if m.group(1) in "~ 0" else ""),
            line,
        )
        macro = re.match(r"[.']\s*(\w+)\s*(.*)", line)
        if not macro:
            if line.startswith((".", "'\\")):
                continue
            if line.strip() or verbatim:
                paragraph.append(line.rstrip() if verbatim else line.strip())
            else:
                close()
            continue
        name, words = macro.group(1), macro.group(2)
        arguments = [a.strip('"') for a in re.findall(r'"[^"]*"|\S+', words)]
        if name in ("SH", "SS"):
            close()
            out.append(" ".join(arguments))
        elif name in ("PP", "P", "LP", "TP", "IP", "HP", "sp", "RS", "RE", "TQ"):
            close()
            if name == "IP" and arguments and arguments[0] != "•":
                paragraph.append(arguments[0])
        elif name in ("nf", "EX", "fi", "EE"):
            close()
            verbatim = name in ("nf", "EX")
        elif name in ("B", "I", "SM"):
            paragraph.append(" ".join(arguments))
        elif name in ("BR", "RB", "BI", "IB", "RI", "IR"):
            paragraph.append("".join(arguments))
    close()
    yield "\n\n".join(out)


def pod(path):
    """Perl's plain old documentation."""
    text = read_text(path)
    text = re.sub(r"^=(?:head\d|item)\s+", "\n", text, flags=re.M)
    text = re.sub(r"^=\w+.*$", "", text, flags=re.M)
    for _ in range(3):
        text = re.sub(r"L<(?:[^<>|]*\|)?([^<>]*)>", r"\1", text)
        text = re.sub(r"E<lt>", "<", text).replace("E<gt>", ">")
        text = re.sub(r"[BCFISXZ]<<? ?([^<>]*?) ?>?>", r"\1", text)
    blocks = re.split(r"\n\s*\n", text)
    yield "\n\n".join(b if b.startswith((" ", "\t")) else flatten(b) for b in blocks)


def lyx(path):
    """The paragraphs of a LyX document; commands and insets are dropped."""
    body = read_text(path).partition("\\begin_body")[2]
    paragraphs = []
    for layout in re.findall(r"\\begin_layout (?!Plain)\w+\n(.*?)\\end_layout", body, re.S):
        layout = re.sub(r"\\begin_inset (?:Index|Formula|Note|ERT|CommandInset|Graphics).*?\\end_inset", "", layout, flags=re.S)
        layout = re.sub(r"\\SpecialChar softhyphen", "", layout)
        layout = re.sub(r"\\SpecialChar (\w+)\n?", lambda m: m.group(1) if m.group(1) in ("LyX", "LaTeX", "TeX") else "", layout)
        text = flatten("".join(line for line in layout.split("\n") if not line.startswith("\\")))
        if len(text) > 2:
            paragraphs.append(text)
    yield "\n\n".join(paragraphs)


def vim_help(path):
    text = re.sub(r"[ \t]*\*[^*\s]+\*", "", read_text(path))
    text = re.sub(r"\|([^|\s]+)\|", r"\1", text)
    yield re.sub(r"[ >]*$|^[=-]{20,}", "", text, flags=re.M).expandtabs(8)


# ------------------------------------------------------------------------------------------------------ dictionaries

GROUP = 30  # dictionary entries per document: enough that a document is a page, not a line


def grouped(entries, joiner="\n\n"):
    group = []
    for entry in entries:
        group.append(entry)
        if len(group) == GROUP:
            yield joiner.join(group)
            group = []
    if group:
        yield joiner.join(group)


B64 = {c: i for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}


def dictd(path):
    """A dictionary in the format of dictd: `path` is the .dict.dz, its .index lies beside it."""
    blob = gzip.decompress(path.read_bytes())
    index = path.with_name(path.name.replace(".dict.dz", ".index"))

    def number(digits):
        value = 0
        for digit in digits:
            value = value * 64 + B64[digit]
        return value

    spans = set()
    for line in index.read_text(encoding="utf-8", errors="replace").split("\n"):
        fields = line.split("\t")
        if len(fields) >= 3 and not fields[0].startswith("00"):
            spans.add((number(fields[1]), number(fields[2])))

    def entries():
        for start, size in sorted(spans):
            text = blob[start : start + size].decode("utf-8", errors="replace")
            text = re.sub(r"\[(?:1913 Webster|PJC|WordNet[^\]]*|Webster[^\]]*|\{Jargon File\})(?: \+PJC)?\]", "", text)
            text = re.sub(r"^\(\d{4}-\d\d-\d\d\)$", "", text, flags=re.M)
            text = re.sub(r"\\[^\\\n]{1,60}\\", "", text)  # pronunciation
            text = re.sub(r"\s+\(\d{4}-\d\d-\d\d\)", "", text)
            text = text.replace("{", "").replace("}", "")
            blocks = [flatten(b) for b in re.split(r"\n\s*\n", text)]
            text = "\n".join(b for b in blocks if b)
            if len(text) > 40:
                yield text

    yield from grouped(entries())


WORDNET_FILES = {"data.noun": "noun", "data.verb": "verb", "data.adj": "adjective", "data.adv": "adverb"}


def wordnet(path):
    """A WordNet data file: half of the synsets as prose, half as questions and answers (by the parity of a digest)."""
    part = WORDNET_FILES[path.name]
    synsets = {}
    for line in read_text(path).split("\n"):
        if not line or line.startswith(" "):
            continue
        fields, _, gloss = line.partition(" | ")
        fields = fields.split()
        count = int(fields[3], 16)
        words = [re.sub(r"\(\w+\)$", "", w).replace("_", " ") for w in fields[4 : 4 + 2 * count : 2]]
        above = re.search(r" @ (\d{8}) n ", line)
        synsets[fields[0]] = (words, gloss.strip(), above.group(1) if above else None)

    def entries():
        for offset, (words, gloss, above) in synsets.items():
            definition, _, example = gloss.partition('; "')
            definition = definition.strip(" ;")
            article = "an" if words[0][0] in "aeiouAEIOU" else "a"
            kind = synsets[above][0][0] if above in synsets else None
            if zlib.crc32(offset.encode()) % 2:
                if part == "noun" and words[0][0].isupper():
                    question = f"{'Who' if kind and re.search('er|or|ist|king|president', kind) else 'What'} is {words[0]}?"
                elif part == "noun":
                    question = f"What is {article} {words[0]}?"
                elif part == "verb":
                    question = f"What does it mean to {words[0]}?"
                else:
                    question = f'What does "{words[0]}" mean?'
                yield f"Question: {question}\nAnswer: {definition}"
                if kind and zlib.crc32(offset.encode()) % 8 == 1:
                    yield f"Question: What kind of thing is {words[0]}?\nAnswer: {kind}"
            else:
                text = f"{words[0]} ({part}): {definition}."
                if len(words) > 1:
                    text += " Also called " + ", ".join(words[1:]) + "."
                if kind:
                    text += f" A kind of {kind}."
                if example:
                    text += ' Example: "' + example.strip()
                yield text

    yield from grouped(entries())


def sword(path):
    """A zText or zCom module of SWORD: `path` is the .bzs file of block offsets, the .bzz lies beside it."""
    index, blob = path.read_bytes(), path.with_suffix(".bzz").read_bytes()
    for at in range(0, len(index) - 11, 12):
        start, size, _ = struct.unpack("<III", index[at : at + 12])
        if size:
            text = zlib.decompress(blob[start : start + size]).decode("utf-8", errors="replace")
            text = re.sub(r"<note\b.*?</note>", "", text, flags=re.S)
            text = re.sub(r"<(?:div|chapter|title|milestone type=\"x-p\")[^>]*>|</title>", "\n\n", text)
            text = html.unescape(TAG.sub("", text))
            yield "\n\n".join(p for p in map(flatten, re.split(r"\n\s*\n", text)) if p)


def fortunes(path):
    entries = (e.strip("\n").expandtabs(8) for e in read_text(path).split("\n%\n"))
    yield from grouped(e for e in entries if len(e) > 30)


# -------------------------------------------------------------------------------------------- texts inside of games


def capitals(path):
    """A map of KGeography: questions on capitals."""
    text = read_text(path)
    place = flatten(html.unescape(re.search(r"<name>(.*?)</name>", text).group(1)))
    found = re.findall(r"<name>([^<]+)</name>\s*<capital>([^<]+)</capital>", text)
    found = [(html.unescape(n).strip(), html.unescape(c).strip()) for n, c in found]
    lines = [f"Question: What is the capital of {n}?\nAnswer: {c}" for n, c in found]
    lines += [f"Question: Of which part of {place} is {c} the capital?\nAnswer: {n}" for n, c in found]
    yield from grouped(lines)


QUIZ = {  # file of bsdgames' quiz: (question about the first field, question about the second or None)
    "babies": ("What animal is a {} the young of?", None),
    "collectives": ("What is a group of {} called?", None),
    "sexes": ("What is the female of {}?", "What is the male of {}?"),
    "posneg": ('What is the opposite of "{}"?', 'What is the opposite of "{}"?'),
    "state": ("What is the capital of {}?", "Of which state is {} the capital?"),
    "province": ("What is the capital of {}?", "Of which province is {} the capital?"),
    "africa": ("What is the capital of {}?", "Of which country is {} the capital?"),
    "america": ("What is the capital of {}?", "Of which country is {} the capital?"),
    "asia": ("What is the capital of {}?", "Of which country is {} the capital?"),
    "europe": ("What is the capital of {}?", "Of which country is {} the capital?"),
    "murders": ("Who killed {}?", None),
    "latin": ('What does the Latin word "{}" mean?', None),
    "flowers": ("What does the flower {} stand for?", None),
}


def quiz(path):
    first, second = QUIZ[path.name]
    lines = []
    for line in read_text(path).replace("\\\n", "").split("\n"):
        fields = [re.sub(r"[{}\[\]]", "", f.split("|")[0]).strip() for f in line.split(":")]
        if len(fields) >= 2 and all(fields[:2]):
            lines.append(f"Question: {first.format(fields[0])}\nAnswer: {fields[1]}")
            if second:
                lines.append(f"Question: {second.format(fields[1])}\nAnswer: {fields[0]}")
    yield from grouped(lines)


def clean_game_text(text):
    text = text.replace('\\"', '"').replace("\\n", "\n").replace("\\t", " ")
    text = re.sub(r"</?(?:color|info|span|i|b|em|bold|italic|header|ref|img|bullet|big|small|text|dst|format)\b[^>]*>", "", text)
    return flatten(text)


def strings_by(pattern, least):
    """Reader of the translatable strings of at least `least` characters that `pattern` (one group) finds."""
    expression = re.compile(pattern, re.S)

    def reader(path):
        found = [clean_game_text(next(g for g in m.groups() if g is not None)) for m in expression.finditer(read_text(path))]
        yield "\n\n".join(f for f in found if len(f) >= least and " " in f)

    return reader


def json_strings(path):
    """Descriptions and dialogue of a JSON file of Cataclysm: strings that look like sentences."""
    found = []

    def walk(value):
        if isinstance(value, dict):
            for key, member in value.items():
                if not key.startswith("//"):
                    walk(member)
        elif isinstance(value, list):
            for member in value:
                walk(member)
        elif isinstance(value, str) and len(value) > 50 and value.count(" ") > 6 and value[-1] in ".!?\"'”":
            found.append(clean_game_text(re.sub(r"<[a-z_0-9:]+>", "", value)))

    try:
        walk(json.loads(read_text(path)))
    except ValueError:
        return
    yield "\n\n".join(found)


def crawl_descriptions(path):
    entries = []
    for entry in read_text(path).split("\n%%%%\n"):
        entry = "\n".join(line for line in entry.split("\n") if not line.startswith(("#", "w:")))
        name, _, body = entry.strip().partition("\n\n")
        if len(body) > 60 and not name.startswith("_") and "{{" not in body:
            entries.append(name + "\n" + flatten(re.sub(r"@[^@]+@", "it", body)))
    yield "\n\n".join(entries)


def string_table(path):
    """FreeOrion's stringtable: keys and texts, only the long ones."""
    found = re.findall(r"^'''(.*?)'''", read_text(path), re.S | re.M)
    found = [flatten(re.sub(r"\[\[[^\]]*\]\]|<[^>]*>|%\d?%?", "", f)) for f in found]
    yield "\n\n".join(f for f in found if len(f) > 80)

