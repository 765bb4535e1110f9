"""Writes the seed inputs tests/fuzz/corpus/NAME_fuzz of the text and data readers: small well-formed files
from which the fuzzer starts. Run from the repository root after the other make_*_fixtures scripts."""

import json
from pathlib import Path

OUT = Path("tests/fuzz/corpus")
DATA = Path("tests/data/fixtures")


def write(target, name, content):
    path = OUT / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


def tokenizer(**changes):
    document = {
        "version": "1.0", "added_tokens": [
            {"id": 7, "content": "<|a|>", "special": True, "normalized": False, "lstrip": True},
            {"id": 8, "content": "H", "special": False, "normalized": True, "single_word": True, "rstrip": True}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": r"\p{N}{1,3}|[^\s\p{L}]+|(?i:'s)"}, "behavior": "MergedWithNext",
             "invert": True},
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}]},
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<|a|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<|a|>": {"id": "<|a|>", "ids": [7], "tokens": ["<|a|>"]}}},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "ignore_merges": True, "unk_token": "?", "fuse_unk": True,
                  "vocab": {"?": 0, "a": 1, "b": 2, "aa": 3, "aab": 4, "Ġ": 5, "<0x41>": 6},
                  "merges": ["a a", ["aa", "b"]]},
    }
    document.update(changes)
    return json.dumps(document, ensure_ascii=False)


def main():
    write("json_fuzz", "mixed", '{"a":[1,-2.5e3,true,null,"\\u00e9\\ud83d\\ude00\\n"],"b":{"c":{}},"d":[NaN,-Infinity]}')
    write("json_fuzz", "bom_crlf", b"\xef\xbb\xbf{\r\n\"x\": 18446744073709551615}\r\n")
    write("json_fuzz", "duplicate", '{"a":1,"a":2}')
    write("json_fuzz", "deep", "[" * 70 + "]" * 70)
    write("config_fuzz", "full", '{"name":"n","kind":"two","on":true,"lr":1e-3,"ids":[1,2],"words":["a"],'
                                 '"inner":{"count":7,"rates":[0.5]}}')
    write("config_fuzz", "wrong", '{"nmae":1,"kind":"three","lr":99,"inner":3}')
    write("config_fuzz", "set", "inner.count=12")
    write("tokenizer_fuzz", "byte_level", tokenizer())
    write("tokenizer_fuzz", "llama2", tokenizer(
        normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"}, {
            "type": "Replace", "pattern": {"String": " "}, "content": "_"}]}, pre_tokenizer=None, post_processor=None,
        decoder={"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"Regex": "_"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}))
    for index, text in enumerate(["Hello, it's 12345  \r\n\r\n x", "é漢字🦊 <|x|>aaaa", b"\xe4\xbd \xff\x00"]):
        write("encode_fuzz", f"text{index}", text)
    write("metrics_fuzz", "answers", "The U.S.A. of ΣΑΣ a the Σ an İ U.S.A.")
    for index, name in enumerate(["squad.json", "triviaqa.json", "hotpotqa.json"]):
        write("squad_fuzz", name, bytes([index]) + (DATA / name).read_bytes())
    for index, name in enumerate(["natural_questions.jsonl", "nq_open.jsonl", None, "sudoku_extreme.csv", "pairs.jsonl",
                                  "corpus.jsonl"]):
        content = (DATA / name).read_bytes() if name else b'{"question": "3 * 4", "answer": "12"}\n'
        write("jsonl_fuzz", name or "arithmetic.jsonl", bytes([index]) + content)
        write("jsonl_fuzz", "skip_" + (name or "arithmetic.jsonl"), bytes([index | 0x80]) + content)
    for index, name in enumerate(["mbpp.jsonl", "mbpp_sanitized.json", "humaneval.jsonl", "leetcode.jsonl"]):
        write("programs_fuzz", name, bytes([index]) + (DATA / "programs" / name).read_bytes())
    write("programs_fuzz", "candidates.jsonl", b'\x04{"prompt": "p", "code": "x", "label": 1}\n'
          b'{"prompt": "q", "code": "y", "label": "FAIL", "problem": "2", "split": "test", "candidate": 3}\n')
    write("programs_fuzz", "answer", b"\x05Here:\n\n  ```python\n  x = 1\n  ```\n~~~\ny\n")


if __name__ == "__main__":
    main()
