#!/usr/bin/env python3
"""Writes what the pocket sentence encoder and its inverter are made of before they are trained: configs and one tokenizer.

    .venv-reference/bin/python scripts/lipo/make_models.py --texts corpus/lipo/instructions_train.jsonl

Folders jobs/models/pocket-sentence (BERT in the layout of sentence-transformers) and jobs/models/pocket-inverter (vec2text's
inversion model; its T5 is described in t5/). The tokenizer is a byte-level BPE of at most 1,024 entries, so that any text has tokens; the
encoder's texts stand between [CLS] and [SEP], the inverter's end with </s>. Needs tokenizers. The same bytes each time.
"""

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

MODELS = Path(__file__).resolve().parents[2] / "jobs/models"
SPECIAL = ("[PAD]", "</s>", "[UNK]", "[CLS]", "[SEP]")
VOCABULARY, WIDTH, HEADS, POSITIONS = 1024, 96, 3, 64


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def train_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def write_tokenizer(tokenizer, folder, before, behind):
    """`before` and `behind` are the special tokens around a text."""
    template = [f"{t}:0" for t in before] + ["$A:0"] + [f"{t}:0" for t in behind]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join(template), special_tokens=[(t, tokenizer.token_to_id(t)) for t in (*before, *behind)])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer.to_str() + "\n", encoding="utf-8")
    names = dict(pad_token="[PAD]", unk_token="[UNK]", eos_token="</s>", cls_token="[CLS]", sep_token="[SEP]")
    write(folder / "tokenizer_config.json", dict(tokenizer_class="PreTrainedTokenizerFast", clean_up_tokenization_spaces=False, model_max_length=POSITIONS, **names))


def write_encoder(tokenizer):
    folder = MODELS / "pocket-sentence"
    write_tokenizer(tokenizer, folder, ("[CLS]",), ("[SEP]",))
    write(folder / "config.json", dict(
        architectures=["BertModel"], model_type="bert", hidden_act="gelu", hidden_size=WIDTH, intermediate_size=2 * WIDTH,
        num_hidden_layers=2, num_attention_heads=HEADS, max_position_embeddings=POSITIONS, type_vocab_size=1, vocab_size=tokenizer.get_vocab_size(),
        layer_norm_eps=1e-12, pad_token_id=0, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    write(folder / "modules.json", [dict(idx=i, name=str(i), path=p, type=f"sentence_transformers.models.{k}") for i, (p, k) in enumerate(kinds)])
    write(folder / "sentence_bert_config.json", dict(max_seq_length=POSITIONS, do_lower_case=False))
    write(folder / "1_Pooling/config.json", dict(word_embedding_dimension=WIDTH, pooling_mode_cls_token=False, pooling_mode_mean_tokens=True, pooling_mode_max_tokens=False))


def write_inverter(tokenizer):
    folder = MODELS / "pocket-inverter"
    write_tokenizer(tokenizer, folder, (), ("</s>",))
    write(folder / "config.json", dict(
        architectures=["InversionModel"], model_type="inversion", model_name_or_path="t5", embedder_model_name="pocket-sentence",
        num_repeat_tokens=8, max_seq_length=POSITIONS))
    write(folder / "t5/config.json", dict(
        architectures=["T5ForConditionalGeneration"], model_type="t5", d_model=WIDTH, d_kv=WIDTH // HEADS, num_heads=HEADS, d_ff=2 * WIDTH,
        num_layers=1, num_decoder_layers=3, vocab_size=tokenizer.get_vocab_size(), feed_forward_proj="relu", relative_attention_num_buckets=32,
        relative_attention_max_distance=128, layer_norm_epsilon=1e-6, tie_word_embeddings=True, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0, dropout_rate=0.0))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--texts", type=Path, required=True)
    texts = [json.loads(line)["text"] for line in parser.parse_args().texts.read_text(encoding="utf-8").splitlines()]
    tokenizer = train_tokenizer(texts)
    write_encoder(tokenizer)
    write_inverter(tokenizer)


if __name__ == "__main__":
    main()
