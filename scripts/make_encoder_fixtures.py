#!/usr/bin/env python3
"""Writes tests/lm/fixtures/{t5_relu,t5_gated,bert,gtr,inversion,corrector}: tiny random checkpoints of encoders and
encoder-decoders, and what transformers and sentence-transformers compute with them.

Needs torch, transformers, safetensors, tokenizers and sentence-transformers, which the build itself does not. Everything
is seeded; float32 on one thread with eager attention. `--minilm FOLDER` writes instead tests/lm/fixtures/minilm.json: the
vectors that sentence-transformers makes of a few texts with the published all-MiniLM-L6-v2.

For each checkpoint folder expected.json holds ids and token sequences, expected.safetensors the numbers:
  hidden.{i} [T, d]            encoder states of sources[i]
  logits.{i} [n, V]            of decoding targets[i] after the start token, source i in the encoder
  pipeline.{i}, mean.{i}, first.{i}   sentence vectors
"""
import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (BertConfig, BertModel, BertTokenizerFast, GenerationConfig, PreTrainedTokenizerFast, T5Config,
                          T5EncoderModel, T5ForConditionalGeneration)

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/lm/fixtures"
VOCAB = 96
LENGTHS = (1, 4, 9, 17, 33, 70)

T5_CASES = {
    # v1.0: relu, one matrix for both stacks and the head, scaled states; inner width unlike d_model.
    "t5_relu": dict(seed=21, config=dict(d_model=32, d_kv=6, num_heads=4, d_ff=40, num_layers=3, num_decoder_layers=2,
                                         relative_attention_num_buckets=32, relative_attention_max_distance=128)),
    # v1.1: gated GELU, a head of its own, no scaling; few buckets, so that distances reach the last one.
    "t5_gated": dict(seed=22, own_head=True, dtype=torch.bfloat16,
                     config=dict(d_model=24, d_kv=8, num_heads=3, d_ff=40, num_layers=2, feed_forward_proj="gated-gelu",
                                 relative_attention_num_buckets=8, relative_attention_max_distance=20,
                                 tie_word_embeddings=False)),
}

# num_beams, length_penalty, early_stopping, repetition_penalty, no_repeat_ngram, returned
BEAMS = [(4, 1.0, False, 1.0, 0, 1), (8, 1.0, True, 1.0, 0, 3), (4, 2.0, "never", 1.0, 0, 2), (4, 0.0, False, 1.3, 0, 4),
         (8, 1.0, False, 1.2, 3, 1), (3, -0.5, "never", 1.0, 2, 1), (2, 0.6, True, 1.2, 0, 2)]
NEW_TOKENS = 24


def randomize(model, seed, gain=0.25):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm = "norm" in name.lower() and name.endswith("weight")
            # T5 scales its queries by their initialisation instead of its scores.
            own = 0.3 * gain if name.endswith((".q.weight", ".query.weight")) else gain
            parameter.copy_(1 + 0.1 * noise if is_norm else own * noise)


def likely_end(model):
    """Makes the logits of the end token larger than others, so that generation ends by itself now and then."""
    with torch.no_grad():
        model.lm_head.weight[1] *= 1.8


def ids_of(generator, count):
    return torch.randint(3, VOCAB, (count,), generator=generator).tolist()


def save(folder, model, tensors, expected):
    save_file({key: value.float().clone().contiguous() for key, value in tensors.items()}, folder / "expected.safetensors")
    (folder / "expected.json").write_text(json.dumps(expected, indent=None, separators=(",", ":")) + "\n")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(folder.name, size, "bytes")


def fresh(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def generated(out, start):
    """Tokens after the start token, cut at the end token or the padding behind it."""
    ids = out.tolist()[start:]
    return ids[:ids.index(1)] if 1 in ids else ids


def beam_cases(model, inputs, start):
    """What generate() makes of each input alone, for every setting of BEAMS."""
    cases = []
    for beams, length_penalty, early, repetition, ngram, returned in BEAMS:
        settings = dict(num_beams=beams, length_penalty=length_penalty, early_stopping=early,
                        repetition_penalty=repetition, no_repeat_ngram_size=ngram, num_return_sequences=returned)
        rows = []
        for given in inputs:
            out = model.generate(**given, **settings, max_new_tokens=NEW_TOKENS, do_sample=False,
                                 return_dict_in_generate=True, output_scores=True)
            prompt = start(given)
            rows.append(dict(ids=[generated(row, prompt) for row in out.sequences],
                             scores=out.sequences_scores.tolist()))
        cases.append(dict(settings, rows=rows))
    return cases


def greedy_cases(model, inputs, start):
    rows = []
    for given in inputs:
        out = model.generate(**given, num_beams=1, do_sample=False, max_new_tokens=NEW_TOKENS, output_logits=True,
                             return_dict_in_generate=True)
        gaps = [float(step[0].topk(2).values.diff().abs()) for step in out.logits]
        rows.append(dict(ids=generated(out.sequences[0], start(given)), smallest_gap=min(gaps)))
    return rows


def make_t5(name, case):
    folder = fresh(name)
    config = T5Config(vocab_size=VOCAB, decoder_start_token_id=0, **case["config"])
    model = T5ForConditionalGeneration(config).eval()
    randomize(model, case["seed"])
    if case.get("own_head"):
        head = torch.randn(VOCAB, config.d_model, generator=torch.Generator().manual_seed(case["seed"] + 100))
        model.lm_head.weight = torch.nn.Parameter(0.3 * head)
    likely_end(model)
    model.generation_config = GenerationConfig(decoder_start_token_id=0, eos_token_id=1, pad_token_id=0)
    model.to(case.get("dtype", torch.float32))
    state = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    if not case.get("own_head"):
        del state["lm_head.weight"]
    for stack in ("encoder", "decoder"):
        del state[f"{stack}.embed_tokens.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    # The keys of the published files, which transformers 5 would write differently.
    published = dict(architectures=["T5ForConditionalGeneration"], model_type="t5", vocab_size=VOCAB, pad_token_id=0,
                     eos_token_id=1, decoder_start_token_id=0, is_encoder_decoder=True, layer_norm_epsilon=1e-6,
                     feed_forward_proj="relu")
    published.update(case["config"])
    (folder / "config.json").write_text(json.dumps(published, indent=1) + "\n")
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    assert model.config.scale_decoder_outputs != bool(case.get("own_head"))

    generator = torch.Generator().manual_seed(case["seed"] + 1)
    sources = [ids_of(generator, count) + [1] for count in LENGTHS]
    targets = [ids_of(generator, count) for count in (5, 1, 40, 3, 2, 12)]
    tensors = {}
    with torch.no_grad():
        for i, (source, target) in enumerate(zip(sources, targets)):
            ids = torch.tensor([source])
            tensors[f"hidden.{i}"] = model.encoder(input_ids=ids).last_hidden_state[0]
            tensors[f"mean.{i}"] = tensors[f"hidden.{i}"].mean(0)
            tensors[f"first.{i}"] = tensors[f"hidden.{i}"][0]
            tensors[f"logits.{i}"] = model(input_ids=ids, decoder_input_ids=torch.tensor([[0] + target[:-1]])).logits[0]
        inputs = [dict(input_ids=torch.tensor([source])) for source in sources]
        greedy = greedy_cases(model, inputs, lambda given: 1)
        beams = beam_cases(model, inputs, lambda given: 1)
    distances = list(range(-300, 301))
    attention = type(model.encoder.block[0].layer[0].SelfAttention)
    buckets = [dict(bidirectional=both, buckets=count, max_distance=far, values=attention._relative_position_bucket(
        torch.tensor(distances), bidirectional=both, num_buckets=count, max_distance=far).tolist())
        for both in (True, False) for count, far in ((32, 128), (8, 20), (64, 250))]
    save(folder, model, tensors, dict(sources=sources, targets=targets, greedy=greedy, beams=beams,
                                      distances=distances, buckets=buckets))
    print("  greedy lengths", [len(row["ids"]) for row in greedy], "gaps", [round(row["smallest_gap"], 4) for row in greedy],
          "beam lengths", [[len(row["ids"][0]) for row in case["rows"]] for case in beams])


TEXTS = ["the cat sat on the mat", "", "a dog!", "  the mat , the cat\n", "cat " * 30, "unknown naïve words 42"]


def words_of(tokens):
    return {token: index for index, token in enumerate(tokens)}


def bert_tokenizer(folder):
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "on", "mat", "dog", "!", ",", "4", "##2"]
    tokens += letters + ["##" + letter for letter in letters]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    tokenizer = BertTokenizerFast(vocab=words_of(tokens), do_lower_case=True, model_max_length=64)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    return tokenizer


def pooled(vectors):
    return {f"pipeline.{i}": torch.tensor(vector) for i, vector in enumerate(vectors)}


def sentence_folder(folder, body, modules):
    """Turns a folder with a transformer and its tokenizer into a sentence-transformers folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.dense import Dense
    from sentence_transformers.base.modules.normalize import Normalize
    from sentence_transformers.base.modules.transformer import Transformer
    from sentence_transformers.sentence_transformer.modules.pooling import Pooling
    made = [Transformer(str(folder), max_seq_length=body["max_seq_length"])]
    for kind, settings in modules:
        made.append(dict(Dense=Dense, Pooling=Pooling, Normalize=Normalize)[kind](**settings))
    return SentenceTransformer(modules=made, device="cpu")


def published_pipeline(folder, model, modules, max_seq_length):
    """The layout of the published folders: class paths and pooling flags of their time."""
    listing = [dict(idx=0, name="0", path="", type="sentence_transformers.models.Transformer")]
    for index, (kind, settings) in enumerate(modules, 1):
        path = f"{index}_{kind}"
        listing.append(dict(idx=index, name=str(index), path=path, type=f"sentence_transformers.models.{kind}"))
        if kind == "Normalize":
            continue  # an empty folder that git does not keep
        (folder / path).mkdir()
        if kind == "Pooling":
            modes = settings["pooling_mode"]
            modes = (modes,) if isinstance(modes, str) else modes
            flags = dict(cls="cls_token", mean="mean_tokens", max="max_tokens", mean_sqrt_len_tokens="mean_sqrt_len_tokens",
                         weightedmean="weightedmean_tokens", lasttoken="lasttoken")
            config = dict(word_embedding_dimension=settings["embedding_dimension"])
            config.update({f"pooling_mode_{flag}": mode in modes for mode, flag in flags.items()})
        else:
            dense = model[index]
            config = dict(in_features=settings["in_features"], out_features=settings["out_features"], bias=settings["bias"],
                          activation_function="torch.nn.modules.linear.Identity" if not settings["bias"] else
                          "torch.nn.modules.activation.Tanh")
            save_file({key: value.contiguous() for key, value in dense.state_dict().items()},
                      folder / path / "model.safetensors", metadata={"format": "pt"})
        (folder / path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "modules.json").write_text(json.dumps(listing, indent=1) + "\n")
    (folder / "sentence_bert_config.json").write_text(
        json.dumps(dict(max_seq_length=max_seq_length, do_lower_case=False)) + "\n")


def vectors_of(folder, model, tokenizer, limit):
    """Sentence vectors, and bare pooling of the hidden states of the same ids."""
    tensors = pooled(model.encode(TEXTS))
    ids = [tokenizer(text.strip(), truncation=True, max_length=limit)["input_ids"] for text in TEXTS]
    body = model[0].auto_model
    with torch.no_grad():
        for i, one in enumerate(ids):
            hidden = body(input_ids=torch.tensor([one])).last_hidden_state[0]
            tensors[f"hidden.{i}"], tensors[f"mean.{i}"], tensors[f"first.{i}"] = hidden, hidden.mean(0), hidden[0]
    return tensors, ids


def make_bert():
    folder = fresh("bert")
    tokenizer = bert_tokenizer(folder)
    config = BertConfig(vocab_size=VOCAB, hidden_size=36, intermediate_size=50, num_hidden_layers=2, num_attention_heads=3,
                        max_position_embeddings=40, layer_norm_eps=1e-12, hidden_act="gelu")
    model = BertModel(config).eval()
    randomize(model, 31, gain=0.3)
    model.save_pretrained(folder)
    modules = [("Pooling", dict(embedding_dimension=36, pooling_mode=(
        "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"))), ("Normalize", {})]
    sentence = sentence_folder(folder, dict(max_seq_length=24), modules)
    tensors, ids = vectors_of(folder, sentence, tokenizer, 24)
    published_pipeline(folder, sentence, modules, 24)
    save(folder, model, tensors, dict(texts=TEXTS, sources=ids))


def t5_tokenizer(folder):
    """A unigram model with T5's special tokens."""
    words = ["▁the", "▁cat", "▁sat", "▁on", "▁mat", "▁a", "▁dog", "!", ",", "▁", "▁4", "2"]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(word, -2.0 - 0.1 * i) for i, word in enumerate(words)]
    pieces += [(chr(code), -6.0 - 0.01 * i) for i, code in enumerate(range(ord("a"), ord("z") + 1))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(),
                                                 normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
                                   model_max_length=512)
    fast.save_pretrained(folder)
    return fast


def make_gtr():
    folder = fresh("gtr")
    tokenizer = t5_tokenizer(folder)
    config = T5Config(vocab_size=VOCAB, d_model=32, d_kv=8, num_heads=4, d_ff=48, num_layers=2)
    model = T5EncoderModel(config).eval()
    randomize(model, 41)
    model.to(torch.float16).save_pretrained(folder)
    modules = [("Pooling", dict(embedding_dimension=32, pooling_mode="mean")),
               ("Dense", dict(in_features=32, out_features=20, bias=False, activation_function=torch.nn.Identity())),
               ("Normalize", {})]
    sentence = sentence_folder(folder, dict(max_seq_length=16), modules).float()
    randomize(sentence[2], 42)
    tensors, ids = vectors_of(folder, sentence, tokenizer, 16)
    published_pipeline(folder, sentence, modules, 16)
    save(folder, model, tensors, dict(texts=TEXTS, sources=ids))


# ---- vec2text, written from its published description ------------------------------------------------------------

REPEAT = 3
V2T_T5 = dict(vocab_size=VOCAB, d_model=32, d_kv=8, num_heads=4, d_ff=48, num_layers=1, decoder_start_token_id=0)


def transform(width, seed):
    net = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.Dropout(0.1), torch.nn.GELU(),
                              torch.nn.Linear(width, REPEAT * V2T_T5["d_model"])).eval()
    randomize(net, seed, gain=0.3)
    return net


def v2t_config(folder, architecture, t5_name):
    config = dict(architectures=[architecture], model_type="inversion" if architecture == "InversionModel" else "",
                  model_name_or_path=t5_name, embedder_model_name="gtr_base", embedder_model_api=None,
                  embedder_torch_dtype="float32", num_repeat_tokens=REPEAT, max_seq_length=32,
                  embeddings_from_layer_n=None, embedder_fake_with_zeros=False, use_lora=False,
                  corrector_ignore_hypothesis_embedding=False, embedder_no_grad=True, use_frozen_embeddings_as_input=True)
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value != ""}, indent=1) + "\n")


def v2t_t5(seed):
    model = T5ForConditionalGeneration(T5Config(**V2T_T5)).eval()
    randomize(model, seed)
    likely_end(model)
    model.generation_config = GenerationConfig(decoder_start_token_id=0, eos_token_id=1, pad_token_id=0)
    return model


def t5_state(model, prefix):
    """Some of the names that one tied matrix has: published state dicts repeat it."""
    return {prefix + key: value.contiguous().clone() for key, value in model.state_dict().items()
            if key != "decoder.embed_tokens.weight"}


def make_vec2text():
    t5 = v2t_t5(51)
    embedder = T5EncoderModel.from_pretrained(OUT / "gtr", dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(52)
    target = torch.randn(4, 32, generator=generator)
    hypothesis = torch.randn(4, 32, generator=generator)
    hypotheses = [[0] + ids_of(generator, count) for count in (1, 5, 12, 20)]

    folder = fresh("inversion")
    net = transform(32, 53)
    state = {f"embedding_transform.{key}": value.contiguous() for key, value in net.state_dict().items()}
    state.update(t5_state(t5, "encoder_decoder."))
    state.update({"embedder." + key.removeprefix("encoder."): value.contiguous().clone()
                  for key, value in embedder.state_dict().items() if key.startswith("encoder.")})
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    v2t_config(folder, "InversionModel", "t5-base")
    with torch.no_grad():
        inputs = net(target).reshape(4, REPEAT, -1)
        given = [dict(inputs_embeds=row[None], attention_mask=torch.ones(1, REPEAT)) for row in inputs]
        expected = dict(targets=target.tolist(), greedy=greedy_cases(t5, given, lambda _: 1),
                        beams=beam_cases(t5, given, lambda _: 1))
    save(folder, t5, dict(target=target, inputs=inputs), expected)

    folder = fresh("corrector")
    nets = {index: transform(32, 60 + index) for index in (1, 2, 3)}
    norm = torch.nn.LayerNorm(32)
    randomize(norm, 70, gain=0.3)
    state = {f"embedding_transform_{index}.{key}": value.contiguous()
             for index, one in nets.items() for key, value in one.state_dict().items()}
    state.update({"layernorm.weight": 1 + norm.weight.data * 0.1, "layernorm.bias": norm.bias.data})
    norm.weight.data = state["layernorm.weight"]
    state.update(t5_state(t5, "encoder_decoder."))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    v2t_config(folder, "CorrectorEncoderModel", "t5-base")
    tensors, given = dict(target=target, hypothesis=hypothesis), []
    with torch.no_grad():
        separator = t5.shared(torch.tensor([1]))
        for i, ids in enumerate(hypotheses):
            e, h = target[i], hypothesis[i]
            parts = [net(x).reshape(REPEAT, -1) for net, x in ((nets[1], e), (nets[3], h), (nets[2], e - h))]
            rows = torch.cat([separator, parts[0], separator, parts[1], separator, parts[2], separator,
                              t5.shared(torch.tensor(ids))])
            rows = norm(rows)
            mask = torch.cat([torch.ones(4 + 3 * REPEAT), (torch.tensor(ids) != 0).float()])
            tensors[f"inputs.{i}"] = rows[mask.bool()]
            given.append(dict(inputs_embeds=rows[None], attention_mask=mask[None]))
        expected = dict(hypotheses=hypotheses, greedy=greedy_cases(t5, given, lambda _: 1),
                        beams=beam_cases(t5, given, lambda _: 1))
    save(folder, t5, tensors, expected)


def make_corrections():
    """The loop of vec2text over the fixtures above: the ids and cosines that its last step keeps, item by item."""
    from safetensors.torch import load_file
    from transformers import AutoTokenizer
    t5 = v2t_t5(51)
    embedder = T5EncoderModel.from_pretrained(OUT / "gtr", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(OUT / "gtr")
    state = load_file(OUT / "corrector" / "model.safetensors") | load_file(OUT / "inversion" / "model.safetensors")

    def transformed(name, x):
        inner = torch.nn.functional.gelu(torch.nn.functional.linear(x, state[name + ".0.weight"], state[name + ".0.bias"]))
        return torch.nn.functional.linear(inner, state[name + ".3.weight"], state[name + ".3.bias"]).reshape(REPEAT, -1)

    def embed(ids):
        text = tokenizer.decode(ids, skip_special_tokens=True)
        read = torch.tensor([tokenizer(text, truncation=True, max_length=32)["input_ids"]])
        return embedder(input_ids=read).last_hidden_state[0].mean(0)

    def corrected(target, text, settings):
        separator = t5.shared(torch.tensor([1]))
        ids, found = text["ids"], text["embedding"]
        rows = torch.cat([separator, transformed("embedding_transform_1", target),
                          separator, transformed("embedding_transform_3", found),
                          separator, transformed("embedding_transform_2", target - found),
                          separator, t5.shared(torch.tensor(ids))])
        rows = torch.nn.functional.layer_norm(rows, (32,), state["layernorm.weight"], state["layernorm.bias"])
        mask = torch.cat([torch.ones(4 + 3 * REPEAT), (torch.tensor(ids) != 0).float()])
        return t5.generate(inputs_embeds=rows[None], attention_mask=mask[None], do_sample=False, **settings)

    def candidates(sequences, target):
        out = []
        for ids in sequences.tolist():
            if 1 in ids:  # what stands behind the end is padding, which is 1 here where vec2text's own release has 0
                ids = ids[:ids.index(1) + 1]
            vector = embed(ids)
            out.append(dict(ids=ids, embedding=vector, cosine=float(torch.cosine_similarity(vector, target, dim=0))))
        return out

    def loop(target, steps, width, settings):
        inputs = transformed("embedding_transform", target)[None]
        texts = candidates(t5.generate(inputs_embeds=inputs, attention_mask=torch.ones(1, REPEAT), do_sample=False,
                                       num_beams=1, max_length=32), target)
        for step in range(steps):
            beams = max(1, width)
            found = [one for text in texts for one in candidates(
                corrected(target, text, dict(settings, num_beams=beams, num_return_sequences=beams)), target)]
            found.sort(key=lambda one: -one["cosine"])
            texts = []
            for one in found:
                if one["ids"] not in [other["ids"] for other in texts]:
                    texts.append(one)
            texts = texts[:1 if step + 1 == steps else beams]
        return texts[0]

    rows = []
    with torch.no_grad():
        targets = [embed(tokenizer(text)["input_ids"]) for text in ("the cat sat", "hello world, hello", "a")]
        for steps, width, settings in ((0, 0, {}), (1, 0, {}), (4, 0, {}), (1, 3, {}), (3, 2, {}), (2, 4, {}),
                                       (3, 3, dict(repetition_penalty=1.2, no_repeat_ngram_size=3))):
            for target in targets:
                best = loop(target, steps, width, dict(settings, max_length=20))
                rows.append(dict(steps=steps, sequence_beams=width, settings=settings, target=target.tolist(),
                                 ids=[id for id in best["ids"] if id > 1], text=tokenizer.decode(best["ids"], skip_special_tokens=True),
                                 cosine=best["cosine"]))
    (OUT / "corrections.json").write_text(json.dumps(rows, separators=(",", ":"), ensure_ascii=False) + "\n")


# ---- published weights ---------------------------------------------------------------------------------------------

MINILM_TEXTS = ["", "Hello world.", "  The cat sat on the mat.\n", "Q: What is 12 * 7?\nA: 84", "naïve café, 東京 42",
                "unaffable electroencephalographically", "Let's think step by step. " * 60]


def make_minilm(model_folder):
    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer(str(model_folder), device="cpu")
    rows = [dict(text=text, ids=model.tokenizer(text.strip(), truncation=True, max_length=256)["input_ids"],
                 vector=[round(float(value), 8) for value in vector])
            for text, vector in zip(MINILM_TEXTS, model.encode(MINILM_TEXTS))]
    (OUT / "minilm.json").write_text(json.dumps(rows, separators=(",", ":"), ensure_ascii=False) + "\n")


def make_decoder_beams():
    """Beams of the decoder fixture of make_lm_fixtures.py."""
    from transformers import Qwen2ForCausalLM
    model = Qwen2ForCausalLM.from_pretrained(OUT / "qwen2_tied", dtype=torch.float32, attn_implementation="eager").eval()
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=[2, 3], pad_token_id=0)
    prompts = [row["prompt"] for row in json.loads((OUT / "qwen2_tied/expected.json").read_text())["greedy"]]
    with torch.no_grad():
        cases = beam_cases(model, [dict(input_ids=torch.tensor([prompt])) for prompt in prompts],
                           lambda given: given["input_ids"].shape[1])
    for case in cases:
        for row in case["rows"]:
            row["ids"] = [ids[:next((i for i, id in enumerate(ids) if id in (1, 2, 3)), len(ids))] for ids in row["ids"]]
    (OUT / "qwen2_tied_beams.json").write_text(json.dumps(dict(prompts=prompts, beams=cases), separators=(",", ":")) + "\n")


def make_stop_beams():
    """Beams with stop strings over the text fixture of make_lm_fixtures.py."""
    from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM
    folder = OUT / "qwen2_text"
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    stops = model.config.eos_token_id if isinstance(model.config.eos_token_id, list) else [model.config.eos_token_id]
    model.generation_config = GenerationConfig(eos_token_id=stops, pad_token_id=stops[0])
    rows = []
    for row in json.loads((folder / "expected.json").read_text()):
        given = dict(input_ids=torch.tensor([row["prompt_ids"]]))
        plain = model.generate(**given, num_beams=3, num_return_sequences=3, max_new_tokens=16, do_sample=False)
        texts = [tokenizer.decode(one[len(row["prompt_ids"]):]) for one in plain]
        # Letters that some of the beams come to say, late.
        stop = list(dict.fromkeys(c for text in texts for c in reversed(text) if "!" <= c <= "~"))[:2] or ["e"]
        out = model.generate(**given, num_beams=3, num_return_sequences=3, max_new_tokens=16, do_sample=False,
                             stop_strings=stop, tokenizer=tokenizer, return_dict_in_generate=True, output_scores=True)
        ids = [[int(id) for id in one[len(row["prompt_ids"]):]] for one in out.sequences]
        rows.append(dict(prompt_ids=row["prompt_ids"], stop=stop, scores=out.sequences_scores.tolist(),
                         ids=[one[:next((i for i, id in enumerate(one) if id in stops), len(one))] for one in ids]))
    (OUT / "qwen2_text_stops.json").write_text(json.dumps(rows, separators=(",", ":"), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minilm", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if arguments.minilm:
        make_minilm(arguments.minilm)
    else:
        for name, case in T5_CASES.items():
            make_t5(name, case)
        make_bert()
        make_gtr()
        make_vec2text()
        make_corrections()
        make_decoder_beams()
        make_stop_beams()
