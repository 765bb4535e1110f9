"""Writes tests/text/fixtures: small tokenizers in the forms of published checkpoints, and the ids and
texts that the `tokenizers` library gives for hard inputs.

Needs the reference environment (tokenizers). Run from the repository root; a second run writes the same
bytes.
"""

import json
import random
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Regex
from tokenizers.processors import TemplateProcessing

OUT = Path("tests/text/fixtures")

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
DEEPSEEK_V3 = [
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]
DEEPSEEK_CODER = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+"]
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{SUFFIX}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{SUFFIX}"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

LANGUAGES = [
    "The quick brown fox doesn't jump over the lazy dog; it's 42 or 1,234.56!",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío.",
    "Voix ambiguë d'un cœur qui, au zéphyr, préfère les jattes de kiwis.",
    "Falsches Üben von Xylophonmusik quält jeden größeren Zwerg.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "צפון אבגד הוזח טיכל",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण",
    "আমি বাংলায় গান গাই",
    "யாமறிந்த மொழிகளிலே தமிழ்மொழி போல்",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "កានតែពិសេសអាចខលចេញ",
    "我能吞下玻璃而不伤身体。今天是2024年12月31日。",
    "いろはにほへと ちりぬるを ワカヨタレソ",
    "키스의 고유조건은 입술끼리 만나야 하고",
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Pijamalı hasta yağız şoföre çabucak güvendi. İstanbul IĞDIR",
    "Do bạch kim rất quý nên sẽ dùng để lắp vô xương",
    "ვეპხის ტყაოსანი შოთა რუსთაველი",
    "Խոսում եմ հայերեն",
    "ሰማይ አይታረስ ንጉሥ አይከሰስ።",
]
CODE = ("def main(argv):\n    for i in range(10):\n\tprint(f'{i:03d}', end=\"\\r\\n\")\n    return {'a': [1, 2]}\n\n\n"
        "#include <vector>\nint main() { std::vector<int> v(3, 0); return v[0] != 0 && true; }\n")
HARD = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\n\n\n", "\t\n", "\r", "\r\n", "\r\n\r\n \r\n",
    " \n \r\n\t \n  x", "a\u00a0b\u2003c\u3000d\u2028e\u2029f\u0085g\u180eh\u200bi\ufeffj",
    "Hello world", " Hello World!", "    Hello\n    Hello", "' era", "\n =", " (",
    "it's IT'S It'S we'Ve a'lL 'RE 'M 'D they'd 'ſ 'ſx don\u2019t", "ſ'ſ K Å",
    "3 33 333 3333 33333 1234567890 3.14 1,000 ½ Ⅷ ² ٣٤ १२३ ⑤ 𝟙𝟚",
    "Hello, y'all! How are you \U0001f601 ?我想在apple工作1314151天～",
    "\U0001f680 (normal) \U0001f636\u200d\U0001f32b\ufe0f (multiple) ✅ 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 👍🏽",
    "e\u0301 E\u0301\u0323 n\u0303 A\u030a \u212b \u2126 \u1e9b\u0323 \u0344 a\u0315\u0300\u05ae\u0300b",
    "\uac00 \u1100\u1161\u11a8 \u0958 \ufb1d \ufb01 \uff21\uff11 ㎏ ﷺ ẛ̣", "\u0301x \u0301\u0301 \u05b0\u05b1",
    "a\x00b\x00\x00 \x00", "\ufffd \ufffd\ufffdx", "\x01\x02\x7f\x80\x9f\xad",
    "CamelCaseHTTPServer XMLHttpRequest iPhone ǅungla ᾈx ªº ʰʱ UPPER lower ÉCOLE école",
    "!!!!!!??? ''''``\"\"...--- a/b//c\n/ /\n///\r\n", "foo_bar-baz.qux@example.com https://x.y/z?a=b&c=d#e",
    "<|im_start|>user\nHi<|im_end|>\n", "  <tool>  x<strip> \n y <word>z <word> z<word>!",
    "<|im_start|><|im_start|> <|im_end|>tail", "<|im_<|im_start|>", "<｜User｜> hi <｜Assistant｜>",
    "PRE\u0301FIX pre\u0301fix \u00c9norm e\u0301norm Énorm énorm", "aaa<long>bbb<long><longer>",
    "õ ÷ Á ý À ÿ", "a" * 70, "ab" * 60, " " * 90 + "x", "\n" * 50, "ha" * 40 + "!" * 45,
    "\U00020000\U0002a6df \U0001d5a0 \U000e0041 \U0010ffff \ue000",
    "ÄÖÜäöüß ıİiI ςσΣ", "l\u0308ong  \u0308 combining\u0327\u0301s", "x\u200dy\u200cz",
    "tab\tseparated\tvalues\n1\t2\t3\n", "mixed русский日本語العربية한국어ไทย text", "12345abc678 a1b2c3",
    "\u0e33\u0e32 \u0f71\u0f72\u0f80", "q\u0307\u0323 d\u0323\u0307 \u1e0b\u0323", "a  b   c    d     e ",
]
TEXTS = HARD + LANGUAGES + [CODE]

ADDED = [
    AddedToken("<|endoftext|>", special=True, normalized=False),
    AddedToken("<|im_start|>", special=True, normalized=False),
    AddedToken("<|im_end|>", special=True, normalized=False),
    AddedToken("<tool>", special=False, normalized=False, lstrip=True, rstrip=True),
    AddedToken("<strip>", special=True, normalized=True, lstrip=True),
    AddedToken("<word>", special=False, normalized=False, single_word=True),
    AddedToken("Énorm", special=False, normalized=True, rstrip=True),
    AddedToken("pre\u0301fix", special=False, normalized=True),
    AddedToken("<long>", special=False, normalized=False),
    AddedToken("<long><longer>", special=True, normalized=False, single_word=True),
    AddedToken("<｜User｜>", special=False, normalized=False),
]


def splits(patterns):
    return [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]


def byte_level(use_regex=False, add_prefix_space=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=use_regex)


def train(pre, normalizer=None, vocab_size=600, alphabet=None, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False, special_tokens=[],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet is None else alphabet)
    tokenizer.train_from_iterator((LANGUAGES + [CODE] + ["a" * 16 + " " * 16 + "\n" * 8, "haha !!!!"]) * 3, trainer)
    return tokenizer


def edited(tokenizer, edit):
    document = json.loads(tokenizer.to_str())
    edit(document)
    return Tokenizer.from_str(json.dumps(document))


def extend_vocab(document, tokens):
    vocab = document["model"]["vocab"]
    for token in tokens:
        vocab.setdefault(token, len(vocab))


def make_all():
    out = {}
    out["qwen2"] = train(pre_tokenizers.Sequence(splits([QWEN2]) + [byte_level()]), normalizers.NFC())
    llama = train(pre_tokenizers.Sequence(splits([LLAMA3]) + [byte_level()]))

    def llama_edit(document):
        document["model"]["ignore_merges"] = True
        extend_vocab(document, ["ĠHello", "Hello", "ĠWorld", "123", "Ġpr", "ĠlazyX"])

    out["llama3"] = edited(llama, llama_edit)
    out["gpt2"] = train(byte_level(use_regex=True))
    out["gpt2_prefix"] = train(byte_level(use_regex=True, add_prefix_space=True), normalizers.NFKC())
    out["deepseek_v3"] = train(pre_tokenizers.Sequence(splits(DEEPSEEK_V3) + [byte_level()]))
    out["deepseek_coder"] = train(pre_tokenizers.Sequence(
        splits(DEEPSEEK_CODER) + [pre_tokenizers.Digits(individual_digits=True), byte_level()]))
    out["o200k"] = train(pre_tokenizers.Sequence(splits([O200K]) + [byte_level()]))
    out["lower_digits"] = train(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), byte_level(use_regex=True)]),
        normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()]))

    # The thirteen characters that deepseek-coder adds by themselves; here some of the byte alphabet.
    def drop_letters(document):
        vocab = document["model"]["vocab"]
        kept = [t for t in sorted(vocab, key=vocab.get) if not set(t) & set("õ÷Áýÿ")]
        document["model"]["vocab"] = {t: i for i, t in enumerate(kept)}
        document["model"]["merges"] = [m for m in document["model"]["merges"] if not set("".join(m)) & set("õ÷Áýÿ")]

    coder = edited(out["deepseek_coder"], drop_letters)
    coder.add_tokens([AddedToken(c, normalized=True) for c in "õ÷Áýÿ"])
    out["deepseek_coder"] = coder

    # Llama-2 form: no pre-tokenizer, spaces as U+2581, bytes as tokens.
    spm = train(None, normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
                vocab_size=420, alphabet=[], byte_fallback=True, fuse_unk=True, unk_token="<unk>")

    def spm_edit(document):
        extend_vocab(document, ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)])
        keep = {t for t in document["model"]["vocab"] if "é" not in t}  # an unknown letter
        document["model"]["vocab"] = {t: i for i, t in enumerate(t for t in document["model"]["vocab"] if t in keep)}
        document["model"]["merges"] = [
            m for m in document["model"]["merges"] if {m[0], m[1], m[0] + m[1]} <= keep]

    spm = edited(spm, spm_edit)
    spm.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                     decoders.Strip(" ", 1, 0)])
    out["llama2"] = spm
    # Unknown characters, an end-of-word suffix (CLIP form), no decoder.
    clip = train(pre_tokenizers.Split(Regex(r"\s+"), "removed"), vocab_size=420, alphabet=[], unk_token="<unk>")

    def clip_edit(document):
        # The trainer's own order of suffixed tokens is random: add them here.
        model, ends = document["model"], []
        extend_vocab(document, ["<unk>"] + [t + "</w>" for t in list(model["vocab"]) if len(t) == 1])
        for left, right in model["merges"]:
            extend_vocab(document, [left + right + "</w>"])
            ends += [[left, right + "</w>"], [left, right]]
        model.update(merges=ends, end_of_word_suffix="</w>", fuse_unk=False)
        document["decoder"] = None

    out["suffix_unk"] = edited(clip, clip_edit)
    for name, tokenizer in out.items():
        # A special token whose normalized form differs is not skipped by the library; it is by us.
        raw = [AddedToken(t.content, special=t.special, lstrip=t.lstrip, rstrip=t.rstrip, single_word=t.single_word,
                          normalized=t.normalized and not (t.special and name == "llama2")) for t in ADDED]
        tokenizer.add_tokens(raw)
        tokenizer.add_special_tokens([t for t in raw if t.special])
    for name in ("llama3", "deepseek_v3", "llama2"):
        tokenizer = out[name]
        bos, eos = (tokenizer.token_to_id(t) for t in ("<|im_start|>", "<|im_end|>"))
        tokenizer.post_processor = TemplateProcessing(
            single="<|im_start|> $A <|im_end|>" if name == "llama2" else "<|im_start|> $A",
            special_tokens=[("<|im_start|>", bos), ("<|im_end|>", eos)])
    return out


def cases(tokenizer, name):
    rng = random.Random(name)
    encode = []
    for text in TEXTS:
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        special = tokenizer.encode(text, add_special_tokens=True).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        case = {"ids": ids}
        if special != ids:
            case["add_special"] = special
        if plain != ids:
            case["no_parse"] = plain
        encode.append(case)
    limit = tokenizer.get_vocab_size() + 3
    sequences = [[rng.randrange(limit) for _ in range(rng.randrange(1, 12))] for _ in range(60)]
    sequences += [[rng.randrange(256) for _ in range(8)] for _ in range(40)]  # mostly lone bytes
    sequences += [case["ids"] for case in encode if len(case["ids"]) < 40]
    decode = []
    for ids in sequences:
        case = {"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=False)}
        skipped = tokenizer.decode(ids, skip_special_tokens=True)
        if skipped != case["text"]:
            case["skip"] = skipped
        decode.append(case)
    return {"vocab_size": tokenizer.get_vocab_size(), "encode": encode, "decode": decode}


def split_cases():
    texts = ["", "a1b22c", "11aa", " the-final--countdown- ", "a,,b,c,", "\r\nx \r\n", "½Ⅷ٣x９", "ab.a.b", "x\u180ey z",
             "漢字かなカナ々〆", "word_1²ⅷⓐé́ x", "line1\nline2\n\nend", "a(b)[c]", "aaab"]
    patterns = [{"Regex": r"\d"}, {"Regex": r"-"}, {"String": "."}, {"String": ","}, {"Regex": r"\s+"}, {"Regex": r"\S"},
                {"Regex": r"\w+"}, {"Regex": r"\W+"}, {"Regex": r"\p{Han}+"}, {"Regex": r"a*"}, {"Regex": r"(?<=l)i|n$"},
                {"Regex": r"^."}, {"Regex": r"a{,2}b?"}, {"Regex": r"[\p{L}&&[^\p{Han}]]+"}, {"Regex": r"[^\w\s]+?"},
                {"String": "(b)["}, {"Regex": r"\p{^L}++"}, {"Regex": r"(?i:LINE)\u0031|\x{78}"}]
    behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    stages = [{"type": "Split", "pattern": p, "behavior": b, "invert": i}
              for k, p in enumerate(patterns) for b in (behaviors if k < 4 else behaviors[k % 5:][:2])
              for i in ((False, True) if k < 4 else (k % 2 == 0,))]
    stages += [{"type": "Digits", "individual_digits": i} for i in (True, False)]
    out = []
    for stage in stages:
        tokenizer = edited(Tokenizer(models.BPE()), lambda d: d.update(pre_tokenizer=stage))
        pieces = [[p for p, _ in tokenizer.pre_tokenizer.pre_tokenize_str(t)] for t in texts]
        out.append({"stage": stage, "pieces": pieces})
    return {"texts": texts, "cases": out}


def dump(name, value):
    (OUT / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    dump("texts.json", TEXTS)
    for index, (name, tokenizer) in enumerate(make_all().items()):
        document = json.loads(tokenizer.to_str())
        if index % 2 and all(" " not in part for m in document["model"]["merges"] for part in m):
            document["model"]["merges"] = [" ".join(m) for m in document["model"]["merges"]]
            tokenizer = Tokenizer.from_str(json.dumps(document))
        dump(f"{name}.tokenizer.json", document)
        dump(f"{name}.cases.json", cases(tokenizer, name))
    dump("splits.json", split_cases())


if __name__ == "__main__":
    main()
