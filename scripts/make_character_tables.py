"""Writes src/text/character_tables.inc: the kinds of characters as the tokenizers library sees them.

Its parts carry Unicode tables of different ages (from version 8 to 17), so each kind is probed character by
character. Needs the reference environment (tokenizers) and libutf8proc, whose normalization is corrected by the
last table. Run from the repository root; a second run writes the same bytes.
"""

import ctypes
import json
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer, models

OUT, REGEX_OUT = Path("src/text/character_tables.inc"), Path("src/text/regex_tables.inc")
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
UTF8PROC = ctypes.CDLL("libutf8proc.so.2")


def component(key, **spec):
    document = json.loads(Tokenizer(models.BPE()).to_str())
    document[key] = spec
    return getattr(Tokenizer.from_str(json.dumps(document)), key)


def normalizer(**spec):
    return component("normalizer", **spec).normalize_str


def pieces(**spec):
    split = component("pre_tokenizer", **spec).pre_tokenize_str
    return lambda text: [piece for piece, _ in split(text)]


def bert(**flags):
    return normalizer(type="BertNormalizer", **{
        "clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False, **flags})


def ours(function, text):
    call = getattr(UTF8PROC, function)
    call.restype = ctypes.c_char_p
    return call(text.encode()).decode()


def unknown_to_normalization():
    """Characters younger than the library's normalization tables: it leaves them where and as they are."""
    nfd, nfkd = normalizer(type="NFD"), normalizer(type="NFKD")
    found = set()
    for c in POINTS[1:]:
        mark, text = "a\u0345" + chr(c) + "b", "a" + chr(c) + "b"
        if nfd(mark) != ours("utf8proc_NFD", mark) or nfkd(text) != ours("utf8proc_NFKD", text):
            found |= {c} | {ord(part) for part in ours("utf8proc_NFD", chr(c))}
    return sorted(found)


def young_categories():
    """Characters of each category that the library's regular expressions (Unicode 16) have and PCRE2 10.42 has not
    (Unicode 14, as Python 3.11): [category, first, last]."""
    assert unicodedata.unidata_version == "14.0.0", "run with Python 3.11"
    text = "".join(map(chr, POINTS))
    rows = []
    for name in ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Po", "Sm", "Sc", "Sk", "So", "Cf", "Han"):
        split = component("pre_tokenizer", type="Split", pattern={"Regex": rf"\p{{{name}}}+"}, behavior="Removed", invert=True)
        found = sorted(ord(c) for piece, _ in split.pre_tokenize_str(text) for c in piece)
        rows += [[name, *r] for r in ranges(c for c in found if unicodedata.category(chr(c)) != name and (
            name != "Han" or unicodedata.category(chr(c)) == "Cn"))]
    return rows


def ranges(points):
    out = []
    for c in points:
        if out and c == out[-1][1] + 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def table(name, comment, rows, kind="CharacterRange"):
    text, line = f"// {comment}\nconstexpr {kind} {name}[] = {{\n", "   "
    for row in rows:
        item = " {" + ", ".join(f'"{v}"' if isinstance(v, str) else f"0x{v:X}" for v in row) + "},"
        if len(line) + len(item) > 100:
            text += line + "\n"
            line = "   "
        line += item
    return text + line + "\n};\n\n"


def main():
    clean, accents = bert(clean_text=True), bert(strip_accents=True)
    marks, lower = normalizer(type="StripAccents"), normalizer(type="Lowercase")
    punctuation, digits = pieces(type="Punctuation", behavior="Isolated"), pieces(type="Digits", individual_digits=True)
    words = pieces(type="Whitespace")
    text = "// Written by scripts/make_character_tables.py (tokenizers 0.23); do not edit.\n\n"
    text += table("kControls", "Dropped by BertNormalizer: Cc, Cf, Co as Unicode 8 has them.",
                  ranges(c for c in POINTS if clean("a" + chr(c) + "b") == "ab"))
    text += table("kNonspacing", "Dropped by BertNormalizer after NFD: Mn.",
                  ranges(c for c in POINTS if accents("a" + chr(c) + "b") == "ab"))
    text += table("kMarks", "Dropped by StripAccents: M.", ranges(c for c in POINTS if marks("a" + chr(c) + "b") == "ab"))
    text += table("kPunctuation", "ASCII punctuation and P.",
                  ranges(c for c in POINTS if punctuation("a" + chr(c) + "b") == ["a", chr(c), "b"]))
    text += table("kNumeric", "N.", ranges(c for c in POINTS if digits("a" + chr(c) + "b") == ["a", chr(c), "b"]))
    text += table("kWord", "The class \\w.", ranges(c for c in POINTS if words("a" + chr(c) + "b") == ["a" + chr(c) + "b"]))
    text += table("kYoung", "Unknown to the library's normalization (Unicode 9), but not to utf8proc.",
                  ranges(unknown_to_normalization()))
    shifts = []
    for c in POINTS[1:]:
        low = lower(chr(c))
        # The next version of Unicode may have moved the case of more letters.
        if len(low) == 1 and low != chr(UTF8PROC.utf8proc_tolower(c)):
            if shifts and shifts[-1][1] == c - 1 and shifts[-1][2] == ord(low) - c:
                shifts[-1][1] = c
            else:
                shifts.append([c, c, ord(low) - c])
    rows = "".join(f"    {{0x{a:X}, 0x{b:X}, {d}}},\n" for a, b, d in shifts)
    text += f"// Letters whose lower case utf8proc does not know yet: first, last, distance.\nconstexpr CaseShift kYoungLower[] = {{\n{rows}}};\n"
    OUT.write_text(text, encoding="utf-8")
    text = "// Written by scripts/make_character_tables.py (tokenizers 0.23); do not edit.\n\n"
    text += table("kYoungCategories", "Characters younger than PCRE2 10.42, by category.", young_categories(), "YoungRange")
    REGEX_OUT.write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
