"""Readers of instruction data: Alpaca's, Self-Instruct's, plain pairs, and problems with tests. What is wrong names file and line."""

import gzip
import json


class FormatError(Exception):
    pass


def repository(id):
    """What a split must not cut: owner/repo of "owner/repo:path:commit"."""
    return id.partition(":")[0]


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _records(path):
    """(place, object) of a JSON array or of JSON Lines, packed by gzip or not."""
    with gzip.open(path, "rt", encoding="utf-8") if str(path).endswith(".gz") else open(path, encoding="utf-8") as file:
        text = file.read()
    if text.lstrip().startswith("["):
        for i, record in enumerate(json.loads(text)):
            yield f"{path}: element {i}", record
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield f"{path}:{number}", json.loads(line)
            except json.JSONDecodeError as error:
                raise FormatError(f"{path}:{number}: not JSON ({error})") from error


def _text(record, key, place):
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, str):
        raise FormatError(f'{place}: found {json.dumps(value)} for "{key}", expected text')
    return value


def _instruction(instruction, more):
    return f"{instruction}\n\n{more}" if more.strip() else instruction


def _alpaca(record, place):
    yield _instruction(_text(record, "instruction", place), record.get("input") or ""), _text(record, "output", place)


def _self_instruct(record, place):
    if isinstance(record, dict) and "instances" not in record:  # as its own fine-tuning files are
        yield _text(record, "prompt", place), _text(record, "completion", place)
        return
    for instance in record["instances"]:
        yield _instruction(_text(record, "instruction", place), instance.get("input") or ""), _text(instance, "output", place)


def _pairs(record, place):
    yield _text(record, "prompt", place), _text(record, "completion", place)


READERS = {"alpaca": _alpaca, "self_instruct": _self_instruct, "pairs": _pairs}


def read_pairs(path, form):
    """[{"id", "prompt", "completion"}]; examples without an answer are left out."""
    out = []
    for place, record in _records(path):
        for prompt, completion in READERS[form](record, place):
            if completion.strip():
                out.append({"id": place, "prompt": prompt.strip(), "completion": completion})
    if not out:
        raise FormatError(f"{path}: holds no example")
    return out


def read_items(path):
    """MBPP's format: text, code, test_list."""
    out = []
    for place, record in _records(path):
        _text(record, "text", place), _text(record, "code", place)
        out.append(record)
    return out
