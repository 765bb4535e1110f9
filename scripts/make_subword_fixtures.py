"""Writes tests/text/fixtures: small Unigram, WordPiece and WordLevel tokenizers in the forms of T5, Llama and BERT, and
SentencePiece and tiktoken files, with the ids and texts that tokenizers, sentencepiece and tiktoken give.

Needs the reference environment (tokenizers, sentencepiece, tiktoken). Run from the repository root after
make_tokenizer_fixtures.py, whose texts it uses; a second run writes the same bytes.
"""

import base64
import io
import json
import random
import tempfile
from pathlib import Path

import sentencepiece
import tiktoken
from make_tokenizer_fixtures import CODE, LANGUAGES, OUT, TEXTS, cases, dump, edited, extend_vocab
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

CORPUS = (LANGUAGES + [CODE, "haha !!!! 123 1234 don't \u2581 x", "ab" * 20]) * 3
# A character map small enough to be kept: ligatures, wide letters, spaces, a longer match.
RULES = [("ﬁ", "fi"), ("\u00a0", " "), ("\u3000", " "), ("Ａ", "A"), ("\n", " "), ("\t", " "), ("\u200b", ""), ("e\u0301", "é"), ("e\u0301\u0323", "ẹ́"),
         ("½", "1/2"), ("\u0301", ""), ("…", "..."), ("㎏", "kg"), ("ab", "ba"), ("\x00", "")]


def sentencepiece_model(**options):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as rules:
        for source, target in RULES:
            if source != "\x00":
                rules.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
        rules.flush()
        out = io.BytesIO()
        if options.pop("rules", False):
            options["normalization_rule_tsv"] = rules.name
        else:
            options["normalization_rule_name"] = "identity"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([line for text in CORPUS for line in text.split("\n") if line]), model_writer=out,
            hard_vocab_limit=False, num_threads=1, minloglevel=2, **options)
    return out.getvalue()


def fields(message):
    """Length-delimited fields of a protobuf message, by number."""
    at, out = 0, {}

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            varint()
        elif key & 7 == 5:
            at += 4
        else:
            size = varint()
            out[key >> 3] = message[at:at + size]
            at += size
    return out


def charsmap(model):
    return base64.b64encode(fields(fields(model)[3])[2]).decode()


def t5(blob):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Precompiled(base64.b64decode(blob)), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(CORPUS, trainers.UnigramTrainer(
        vocab_size=600, show_progress=False, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>"))
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(f"<extra_id_{i}>", special=True, normalized=False, lstrip=i == 1) for i in range(3)])
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def unigram_bytes():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.train_from_iterator([t for t in CORPUS if t.isascii()], trainers.UnigramTrainer(
        vocab_size=300, show_progress=False, special_tokens=["<unk>", "<s>"], unk_token="<unk>"))

    def edit(document):
        document["model"]["byte_fallback"] = True
        document["model"]["vocab"] += [[f"<0x{b:02X}>", -20.0] for b in range(256)]

    tokenizer = edited(tokenizer, edit)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False, rstrip=True), AddedToken("norm al", normalized=True)])
    return tokenizer


def bert():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=60))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # The trainer's order of equal counts is random: letters, then words by count and spelling.
    words = {}
    for text in CORPUS:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            words[word] = words.get(word, 0) + 1
    letters = sorted({c for word in words for c in word if ord(c) < 0x500})
    vocab = special + letters + ["##" + c for c in letters]
    vocab += sorted({w[:n] for w in words for n in (2, 3, 9) if len(w) > 1} | {"##" + w[-n:] for w in words for n in (2, 4) if len(w) > n})
    vocab = list(dict.fromkeys(vocab))
    tokenizer = edited(tokenizer, lambda d: d["model"].update(vocab={t: i for i, t in enumerate(vocab)}))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def word_level():
    document = json.loads(Tokenizer(models.WordLevel(unk_token="?u?")).to_str())
    document["model"].update(type="WordLevel", unk_token="?u?", vocab={})
    extend_vocab(document, ["?u?", "hello", "world", "!", "hi", "3", "33", "the", "x", "(", ")", "a", "b", "ab", "abab"])
    document["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Nmt"}, {"type": "StripAccents"}, {"type": "Lowercase"}]}
    document["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "Whitespace"}, {"type": "CharDelimiterSplit", "delimiter": "_"}, {"type": "Punctuation", "behavior": "Contiguous"},
        {"type": "Digits", "individual_digits": False}]}
    document["decoder"] = {"type": "BPEDecoder", "suffix": "l"}
    return Tokenizer.from_str(json.dumps(document))


def plain_cases(encode, decode, size, name, limit=None):
    """Cases of a library without added tokens."""
    rng = random.Random(name)
    texts = [t for t in TEXTS if "\x00" not in t]
    ids = [encode(t) for t in texts]
    sequences = [i for i in ids if i] + [[rng.randrange(limit or size) for _ in range(rng.randrange(1, 12))] for _ in range(40)]
    return {"vocab_size": size, "encode": [{"text": t, "ids": i} for t, i in zip(texts, ids)],
            "decode": [{"ids": i, "text": decode(i)} for i in sequences]}


KIMI = "|".join([
    r"[\p{Han}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])


def tiktoken_fixture():
    document = json.loads((OUT / "llama3.tokenizer.json").read_text(encoding="utf-8"))
    alphabet = {chr(c): b for b, c in zip(
        list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100)), list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100)))}
    for extra, b in enumerate(b for b in range(256) if b not in alphabet.values()):
        alphabet[chr(0x100 + extra)] = b
    ranks = {bytes(alphabet[c] for c in token): None for token in sorted(document["model"]["vocab"], key=document["model"]["vocab"].get)
             if all(c in alphabet for c in token)}
    ranks = {token: rank for rank, token in enumerate(ranks)}
    lines = "".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items())
    (OUT / "small.tiktoken").write_text(lines, encoding="ascii")
    encoding = tiktoken.Encoding("small", pat_str=KIMI, mergeable_ranks=ranks, special_tokens={})
    value = plain_cases(lambda t: encoding.encode(t, disallowed_special=()), encoding.decode, len(ranks), "tiktoken")
    dump("small.tiktoken.cases.json", {"pattern": KIMI, **value})


def main():
    unigram = sentencepiece_model(model_type="unigram", vocab_size=450, character_coverage=0.98, rules=True, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
                                  user_defined_symbols=["<sep>", "haha"])
    bpe = sentencepiece_model(model_type="bpe", vocab_size=900, character_coverage=0.98, byte_fallback=True, remove_extra_whitespaces=False)
    for name, model in (("unigram", unigram), ("bpe", bpe)):
        (OUT / f"{name}.model").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        size = processor.get_piece_size()
        dump(f"{name}.model.cases.json", plain_cases(processor.encode, processor.decode, size, name))
    for name, tokenizer in (("t5", t5(charsmap(unigram))), ("bert", bert()), ("unigram_bytes", unigram_bytes()), ("word_level", word_level())):
        dump(f"{name}.tokenizer.json", json.loads(tokenizer.to_str()))
        dump(f"{name}.cases.json", cases(tokenizer, name))
    tiktoken_fixture()


if __name__ == "__main__":
    main()
