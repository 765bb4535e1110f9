#!/usr/bin/env python3
"""Collect programs for `ips` from local source trees and local git repositories, as JSON Lines.

    .venv/bin/python scripts/targets/collect.py --tokenizer jobs/models/pocket-coder --out targets.jsonl \\
        --tree NAME=/usr/lib/python3.11 --license PSF-2.0 [--git OWNER/REPO=/path/to/clone --stars 1200] ...

Units are functions, methods left out, and classes: Python by its own `ast`, JavaScript and Rust by tree-sitter; with
--diffs also single-file commits of git repositories, as the diff's new lines. A source's licence is what --license says,
or is read from its LICENSE file; sources of other licences are left out whole. Each unit has from --least to --most tokens
of the tokenizer, parses, names nothing that starts with two underscores at both ends, and is not nearly the text of an
earlier one (equal after white space, comments and numbers are dropped). An id is owner/repo:path:commit, with #name where a
file gives several (~2, ~3 behind names that a file gives again); a tree without git has the SHA-256 of the file in place of the
commit. Doc comments and attributes in front of a Rust item are part of it, as decorators are of a Python function.

Needs `scripts/setup.sh --targets`.
"""

import argparse
import ast
import collections
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

LICENSES = {  # a phrase of the text -> SPDX name
    "Permission is hereby granted, free of charge": "MIT",
    "Apache License": "Apache-2.0",
    "Redistribution and use in source and binary forms": "BSD-3-Clause",
    "PYTHON SOFTWARE FOUNDATION LICENSE": "PSF-2.0",
    "Permission to use, copy, modify, and/or distribute": "ISC",
}
PERMISSIVE = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "PSF-2.0", "ISC", "0BSD"}
SUFFIXES = {".py": "python", ".js": "javascript", ".mjs": "javascript", ".rs": "rust"}
SKIPPED_FOLDERS = {"test", "tests", "node_modules", "vendor", "site-packages", "dist-packages", "__pycache__", "idlelib"}
MOST_BYTES = 400_000  # of a file: larger ones are made by machines
WANTED_NODES = {
    "javascript": {"function_declaration", "class_declaration", "generator_function_declaration"},
    "rust": {"function_item", "impl_item", "struct_item", "enum_item"},
}


def license_of(folder):
    """SPDX name by the text of the LICENSE file; None where there is none or it is another."""
    for path in sorted(folder.glob("LICEN[CS]E*")) + sorted(folder.glob("COPYING*")):
        text = path.read_text(encoding="utf-8", errors="replace")
        for phrase, name in LICENSES.items():
            if phrase in text:
                return "BSD-2-Clause" if name == "BSD-3-Clause" and "Neither the name" not in text else name
    return None


def git(folder, *arguments):
    command = ["git", "-C", str(folder), "-c", "core.quotePath=false", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    return done.stdout


def source_files(folder):
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix not in SUFFIXES or SKIPPED_FOLDERS & set(inside.parts[:-1]) or not path.is_file():
            continue
        if path.stat().st_size <= MOST_BYTES:
            yield inside, path.read_text(encoding="utf-8", errors="replace")


def python_units(text):
    """(name, code) of the functions and classes at the top of a module, decorators included."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    lines = text.splitlines()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            yield node.name, "\n".join(lines[first - 1 : node.end_lineno]) + "\n"


def is_front(node):
    """Whether it belongs to the Rust item behind it: an attribute or a doc comment."""
    return node.type == "attribute_item" or node.text.startswith((b"///", b"/**"))


def unit_name(node):
    if node.type != "impl_item":
        return node.child_by_field_name("name").text.decode()
    head = node.text.decode().partition("{")[0]  # "impl fmt::Display for Point"
    return " ".join(head.partition("where")[0].split())


def tree_sitter_units(text, language):
    """The same of JavaScript and Rust; a node with an error inside is no unit."""
    import tree_sitter
    import tree_sitter_javascript
    import tree_sitter_rust

    grammar = {"javascript": tree_sitter_javascript, "rust": tree_sitter_rust}[language]
    data = text.encode()
    root = tree_sitter.Parser(tree_sitter.Language(grammar.language())).parse(data).root_node
    for node in root.children:
        inner = node.child_by_field_name("declaration") if node.type == "export_statement" else node
        if inner is None or inner.type not in WANTED_NODES[language] or node.has_error:
            continue
        begin = node.start_byte
        while (node := node.prev_sibling) is not None and is_front(node):
            begin = node.start_byte
        yield unit_name(inner), data[begin : inner.end_byte].decode().strip("\n") + "\n"


def units_of(text, language):
    return python_units(text) if language == "python" else tree_sitter_units(text, language)


def diff_units(folder, most_commits):
    """(path, commit, new lines) of commits that change a single file and only add lines to it."""
    for commit in git(folder, "log", "--no-merges", f"-{most_commits}", "--format=%H").split():
        changed = git(folder, "diff-tree", "--no-commit-id", "--numstat", "-r", commit).splitlines()
        if len(changed) != 1:
            continue
        added, removed, path = changed[0].split("\t")
        if removed != "0" or added == "-" or Path(path).suffix not in SUFFIXES:
            continue
        diff = git(folder, "show", "--format=", "--unified=0", commit, "--", path)
        lines = diff.split("\n")  # behind the first "@@": the lines above hold names of files
        first = next((i for i, line in enumerate(lines) if line.startswith("@@")), len(lines))
        lines = [line[1:] for line in lines[first:] if line.startswith("+")]
        yield path, commit, "\n".join(lines).strip("\n") + "\n"


def fingerprint(code):
    """Equal for texts that differ in white space, comments and numbers alone."""
    bare = re.sub(r"(#|//).*", "", code)
    return hashlib.sha256(re.sub(r"[\s\d]+", "", bare).encode()).hexdigest()


class Collection:
    def __init__(self, options):
        from tokenizers import Tokenizer

        self.options = options
        self.tokenizer = Tokenizer.from_file(str(options.tokenizer / "tokenizer.json"))
        self.seen, self.rows, self.left_out = set(), [], {}
        self.ids = collections.Counter()

    def note(self, why):
        self.left_out[why] = self.left_out.get(why, 0) + 1

    def add(self, id, language, code, license_name):
        if re.search(r"\b__\w+__\b", code):
            return self.note("names of the interpreter")
        tokens = len(self.tokenizer.encode(code.strip(), add_special_tokens=False).ids)
        if not self.options.least <= tokens <= self.options.most:
            return self.note("length")
        if fingerprint(code) in self.seen:
            return self.note("seen before")
        self.seen.add(fingerprint(code))
        self.ids[id] += 1
        if self.ids[id] > 1:
            id += f"~{self.ids[id]}"
        metadata = {"license": license_name, "len_tokens": tokens}
        if self.options.stars:
            metadata["stars"] = self.options.stars
        self.rows.append({"id": id, "language": language, "code": code, "metadata": metadata})

    def add_folder(self, name, folder, commit):
        license_name = self.options.license or license_of(folder)
        if license_name not in PERMISSIVE:
            print(f"{folder}: licence {license_name}: left out", file=sys.stderr)
            return
        for path, text in source_files(folder):
            language = SUFFIXES[path.suffix]
            mark = commit or hashlib.sha256(text.encode()).hexdigest()[:40]
            for unit, code in units_of(text, language):
                self.add(f"{name}:{path}:{mark}#{unit}", language, code, license_name)
        if self.options.diffs and commit:
            for path, changed_in, code in diff_units(folder, self.options.diffs):
                self.add(f"{name}:{path}:{changed_in}", SUFFIXES[Path(path).suffix], code, license_name)


def frequent_words(rows, count):
    """The words of names, comments and docstrings, most frequent first."""
    found = collections.Counter()
    for row in rows:
        found.update(word.lower() for word in re.findall(r"[A-Za-z][a-z]{2,}", row["code"]))
    return [word for word, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:count]]


def named_folder(text):
    name, found, folder = text.partition("=")
    if not found or not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(f"found {text}, expected NAME=FOLDER")
    return name, Path(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=named_folder, action="append", default=[], help="NAME=FOLDER of a source tree")
    parser.add_argument("--git", type=named_folder, action="append", default=[], help="OWNER/REPO=FOLDER of a clone")
    parser.add_argument("--license", help="SPDX name of all sources; without it their LICENSE files decide")
    parser.add_argument("--stars", type=int, help="of the repository, kept in metadata")
    parser.add_argument("--diffs", type=int, default=0, help="also of so many last commits of each repository")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with tokenizer.json")
    parser.add_argument("--least", type=int, default=200)
    parser.add_argument("--most", type=int, default=800)
    parser.add_argument("--only", action="append", help="function or class names; default all")
    parser.add_argument("--words", type=Path, help="also the 400 most frequent words of the units that are not --only")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    collection = Collection(options)
    for name, folder in options.tree:
        collection.add_folder(name, folder, None)
    for name, folder in options.git:
        collection.add_folder(name, folder, git(folder, "rev-parse", "HEAD").strip())
    rows = [row for row in collection.rows if not options.only or row["id"].rpartition("#")[2] in options.only]
    if options.words:
        others = [row for row in collection.rows if row not in rows] or rows
        options.words.write_text("\n".join(frequent_words(others, 400)) + "\n", encoding="utf-8")
    with open(options.out, "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    print(f"{len(rows)} targets; left out: {json.dumps(collection.left_out)}")


if __name__ == "__main__":
    main()
