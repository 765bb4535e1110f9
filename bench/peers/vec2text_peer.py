#!/usr/bin/env python3
"""The peer of vec2text_bench: transformers' generate(num_beams=8) on the same encoder inputs.

vec2text_peer.py make FOLDER [small]   a random inversion checkpoint of the published shape (T5-base, 16 tokens an
                                       embedding; small: two layers) and 512 embeddings
vec2text_peer.py run FOLDER EMBEDDINGS NEW_TOKENS DTYPE DEVICE BATCH
"""
import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5ForConditionalGeneration

REPEAT, WIDTH = 16, 768


def transform():
    return torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.Dropout(0), torch.nn.GELU(),
                               torch.nn.Linear(WIDTH, REPEAT * WIDTH))


def t5(layers):
    return T5ForConditionalGeneration(T5Config(
        vocab_size=32128, d_model=WIDTH, d_kv=64, num_heads=12, d_ff=3072, num_layers=layers, num_decoder_layers=layers,
        decoder_start_token_id=0, eos_token_id=1, pad_token_id=0)).eval()


def make(folder, layers):
    torch.manual_seed(1)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    body, net = t5(layers), transform()
    state = {f"encoder_decoder.{key}": value.clone().contiguous() for key, value in body.state_dict().items()
             if key not in ("lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")}
    state.update({f"embedding_transform.{key}": value.contiguous() for key, value in net.state_dict().items()})
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    save_file(dict(targets=torch.randn(512, WIDTH)), folder / "targets.safetensors")
    (folder / "config.json").write_text(json.dumps(dict(
        architectures=["InversionModel"], model_type="inversion", model_name_or_path="t5-base", embedder_model_name="gtr_base",
        embedder_model_api=None, embedder_torch_dtype="float32", num_repeat_tokens=REPEAT, max_seq_length=32,
        embeddings_from_layer_n=None, embedder_fake_with_zeros=False, use_lora=False,
        corrector_ignore_hypothesis_embedding=False, embedder_no_grad=True, use_frozen_embeddings_as_input=True)))


def run(folder, count, fresh, dtype, device, batch):
    state = load_file(Path(folder) / "model.safetensors")
    body = {key.removeprefix("encoder_decoder."): value for key, value in state.items() if key.startswith("encoder_decoder.")}
    model = t5(sum(key.startswith("encoder.block.") and key.endswith("layer.1.layer_norm.weight") for key in body))
    model.load_state_dict(body, strict=False)
    net = transform()
    net.load_state_dict({key.removeprefix("embedding_transform."): value for key, value in state.items()
                         if key.startswith("embedding_transform.")})
    dtype = getattr(torch, dtype)
    model.to(device, dtype)
    net.to(device, dtype)
    targets = load_file(Path(folder) / "targets.safetensors")["targets"][:count].to(device, dtype)

    def once():
        start, total = time.perf_counter(), 0
        with torch.inference_mode():
            for first in range(0, count, batch):
                inputs = net(targets[first:first + batch]).view(-1, REPEAT, WIDTH)
                mask = torch.ones(inputs.shape[:2], device=device)
                out = model.generate(inputs_embeds=inputs, attention_mask=mask, num_beams=8, do_sample=False,
                                     min_new_tokens=fresh, max_new_tokens=fresh)
                total += int(out[:, 1:].sum())
        return time.perf_counter() - start, total

    runs = [once() for _ in range(3)]
    seconds = min(seconds for seconds, _ in runs[1:])
    print(json.dumps(dict(who="transformers", embeddings_per_s=round(count / seconds, 2), seconds=round(seconds, 3),
                          threads=torch.get_num_threads(), sum_of_ids=runs[0][1])))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], 2 if sys.argv[3:] == ["small"] else 12)
    else:
        run(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:7], int(sys.argv[7]))
