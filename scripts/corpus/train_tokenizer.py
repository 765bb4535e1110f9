#!/usr/bin/env python3
"""Train the pocket model's tokenizer and write its configuration files.

    python3 scripts/corpus/train_tokenizer.py --corpus CORPUS [--out jobs/models/pocket-lm]

Byte-level BPE in the exact form of Qwen2: NFC, the Qwen2 split pattern (every digit its own piece), bytes as symbols,
no prefix space. 6141 symbols and merges, of which all 256 bytes, then three special tokens as the last ids. Trained on
train.jsonl without the conversations' markers. Same corpus, same library version: same bytes.
Needs tokenizers; with transformers installed, the result is also loaded and compared there.
"""

import argparse
import json
import re
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

VOCABULARY = 6144
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# The pattern of Qwen2 and Qwen2.5, taken from their published tokenizer.json.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHAT_TEMPLATE = (
    "{%- if messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- else %}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role != 'system' or not loop.first %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- endif %}"
)


def model_config():
    first_special = VOCABULARY - len(SPECIAL)
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": first_special,
        "eos_token_id": first_special,
        "hidden_act": "silu",
        "hidden_size": 256,
        "initializer_range": 0.02,
        "intermediate_size": 768,
        "max_position_embeddings": 1024,
        "max_window_layers": 6,
        "model_type": "qwen2",
        "num_attention_heads": 4,
        "num_hidden_layers": 6,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": VOCABULARY,
    }


def generation_config():
    first_special = VOCABULARY - len(SPECIAL)
    # A conversation's turn ends with <|im_end|>, a plain document with <|endoftext|>.
    return {
        "bos_token_id": first_special,
        "do_sample": False,
        "eos_token_id": [VOCABULARY - 1, first_special],
        "pad_token_id": first_special,
    }


def tokenizer_config():
    decoder = {
        str(VOCABULARY - len(SPECIAL) + i): {
            "content": content,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for i, content in enumerate(SPECIAL)
    }
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": decoder,
        "additional_special_tokens": list(SPECIAL[1:]),
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": SPECIAL[0],
        "errors": "replace",
        "model_max_length": 1024,
        "pad_token": SPECIAL[0],
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def texts(path):
    marker = re.compile("|".join(map(re.escape, SPECIAL)))
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            yield marker.sub("", json.loads(line)["text"])


def train(corpus):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[],
        # Rules of dashes and stars would take the place of words.
        max_token_length=16,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(corpus / "train.jsonl"), trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    return tokenizer


PROBES = (
    "The steam engine does 12345 things, doesn't it?\n\n  Indented, with tabs\t\tand trailing spaces   ",
    "naïve café Größe 東京 \u0423\u043a\u0440\u0430\u0457\u043d\u0430 \U0001f600 \u200b end",
    "def f(x):\n    return {'a': x ** 2}  # comment\r\n",
    "<|im_start|>user\nWhat is 37 * 4?<|im_end|>\n<|im_start|>assistant\n148<|im_end|>\n",
    "",
    " ",
    "\n\n\n",
)


def check(out, corpus):
    """Exact round trips, in tokenizers and, where installed, in transformers."""
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == VOCABULARY
    assert sorted(tokenizer.get_vocab().values()) == list(range(VOCABULARY))
    assert all(symbol in tokenizer.get_vocab() for symbol in pre_tokenizers.ByteLevel.alphabet())
    assert [tokenizer.token_to_id(t) for t in SPECIAL] == list(range(VOCABULARY - len(SPECIAL), VOCABULARY))
    samples = list(PROBES)
    with open(corpus / "valid.jsonl", encoding="utf-8") as stream:
        samples += [json.loads(line)["text"] for _, line in zip(range(200), stream)]
    for text in samples:
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text
    try:
        from transformers import AutoConfig, AutoTokenizer
    except ImportError:
        print("transformers is not installed: not compared")
        return
    theirs = AutoTokenizer.from_pretrained(out)
    for text in samples:
        ids = theirs(text, verbose=False)["input_ids"]
        assert ids == tokenizer.encode(text).ids
        assert theirs.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False) == text
    messages = [{"role": "user", "content": "What is 37 * 4?"}]
    print(type(theirs).__name__, len(theirs), repr(theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)))
    print(type(AutoConfig.from_pretrained(out)).__name__, "loads")


def count_tokens(out, corpus):
    """Tokens and bytes of both parts under the tokenizer, one <|endoftext|> a document not counted."""
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    counts = {}
    for name in ("train", "valid"):
        tokens = size = 0
        with open(corpus / f"{name}.jsonl", encoding="utf-8") as stream:
            while batch := [json.loads(line)["text"] for _, line in zip(range(1000), stream)]:
                tokens += sum(len(e.ids) for e in tokenizer.encode_batch(batch))
                size += sum(len(t.encode()) for t in batch)
        counts[name] = {"tokens": tokens, "bytes_per_token": round(size / tokens, 4)}
    return counts


def write_json(path, value, **layout):
    path.write_text(json.dumps(value, ensure_ascii=False, **(layout or {"indent": 2})) + "\n", encoding="utf-8")


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="directory of train.jsonl and valid.jsonl")
    parser.add_argument("--out", type=Path, default=root / "jobs" / "models" / "pocket-lm")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    saved = json.loads(train(options.corpus).to_str())
    # The library does not store these two arguments of the decoder; decoding ignores them, Qwen2's file has them.
    saved["decoder"].update(add_prefix_space=False, trim_offsets=False, use_regex=False)
    write_json(options.out / "tokenizer.json", saved, separators=(",", ":"))  # 12,000 short lines: 0.16 instead of 0.40 MB
    write_json(options.out / "tokenizer_config.json", tokenizer_config())
    write_json(options.out / "generation_config.json", generation_config())
    write_json(options.out / "config.json", model_config())
    check(options.out, options.corpus)

    counts = count_tokens(options.out, options.corpus)
    print(json.dumps(counts, indent=1))
    report = options.out / "corpus.json"
    if report.exists():
        noted = json.loads(report.read_text(encoding="utf-8"))
        noted["tokens"] = counts
        report.write_text(json.dumps(noted, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
