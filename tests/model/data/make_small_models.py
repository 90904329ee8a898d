#!/usr/bin/env python3
"""Makes the small random models beside this file, and what transformers computes from them.

Needs torch, transformers (5.x) and gguf. For each architecture: NAME.gguf, float32 weights that bfloat16 can hold, and a
line of small_models.jsonl: the tokens, and after some of them the log-probabilities of all tokens.
"""
import json
import math
import pathlib

import gguf
import numpy as np
import torch
import transformers as tf

HERE = pathlib.Path(__file__).parent
VOCAB, DIM, FFN, HEADS, KV_HEADS, LAYERS, CONTEXT = 96, 32, 48, 4, 2, 2, 128
IDS = [(i * 37 + 11) % VOCAB for i in range(100)]

common = dict(vocab_size=VOCAB, hidden_size=DIM, intermediate_size=FFN, num_attention_heads=HEADS,
              num_key_value_heads=KV_HEADS, num_hidden_layers=LAYERS, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5,
              attn_implementation="eager", pad_token_id=0, bos_token_id=1, eos_token_id=2)


def random_weights(model, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.copy_((0.0 if "Gemma" in type(model).__name__ else 1.0) + 0.2 * torch.randn_like(p))
            elif p.dim() == 1:
                p.copy_(0.3 * torch.randn_like(p))
            else:
                p.copy_(torch.randn_like(p) / math.sqrt(p.shape[1]))
            p.copy_(p.to(torch.bfloat16).float())
    return model.eval()


def permute(weight, heads):
    """Rows of heads from the order that turns halves to the one that turns neighbours."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def log_probabilities(model, n):
    with torch.no_grad():
        logits = model(torch.tensor([IDS[:n]])).logits[0, -1].double()
    return [round(x, 6) for x in torch.log_softmax(logits, -1).tolist()]


def export(name, arch, model, lengths, metadata, turn=False, extra=None, plus_one=False, context=0):
    config = model.config
    head_dim = getattr(config, "head_dim", None) or DIM // HEADS
    writer = gguf.GGUFWriter(HERE / f"{name}.gguf", arch)
    for key, value in {"block_count": config.num_hidden_layers, "context_length": CONTEXT, "embedding_length": DIM,
                       "feed_forward_length": FFN, "attention.head_count": HEADS,
                       "attention.head_count_kv": KV_HEADS, **metadata}.items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(f"{arch}.{key}", value)
    writer.add_float32(f"{arch}.attention.layer_norm_rms_epsilon", 1e-5)
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm",
             "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "post_attention_norm" if plus_one else "ffn_norm",
             "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
    for full, tensor in model.state_dict().items():
        values = tensor.float().numpy()
        key = full.removeprefix("model.")
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if plus_one and "norm" in key:
            values = values + 1
        top = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight",
               "lm_head.weight": "output.weight"}
        if key in top:
            writer.add_tensor(top[key], values)
            continue
        _, layer, rest = key.split(".", 2)
        part, kind = rest.rsplit(".", 1)
        if turn and part == "self_attn.q_proj":
            values = permute(values, HEADS)
        if turn and part == "self_attn.k_proj":
            values = permute(values, KV_HEADS)
        writer.add_tensor(f"blk.{layer}.{names[part]}.{kind}", np.ascontiguousarray(values))
    for key, values in (extra or {}).items():
        writer.add_tensor(key, np.array(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    after = [{"n": n, "logprobs": log_probabilities(model, n)} for n in lengths]
    return {"model": name, "context": context, "head_dim": head_dim, "ids": IDS, "after": after}


def llama3_factors(head_dim, base, factor, low, high, original):
    factors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * base ** (i / head_dim)
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return factors


def rope(kind="default", theta=10000.0, **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


def main():
    lines = []
    llama3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
    model = random_weights(tf.LlamaForCausalLM(tf.LlamaConfig(**common, rope_parameters=rope("llama3", **llama3))), 1)
    lines.append(export("llama3", "llama", model, [5, 40, 100], {}, turn=True,
                        extra={"rope_freqs.weight": llama3_factors(8, 10000.0, 8.0, 1.0, 4.0, 32)}))
    model = random_weights(tf.LlamaForCausalLM(tf.LlamaConfig(**common, rope_parameters=rope(theta=1e6))), 2)
    lines.append(export("internlm2", "internlm2", model, [5, 40, 100], {"rope.freq_base": 1e6}, turn=True))
    model = random_weights(tf.Qwen2ForCausalLM(tf.Qwen2Config(**common, rope_parameters=rope(theta=1e6))), 3)
    lines.append(export("qwen2", "qwen2", model, [5, 40, 100], {"rope.freq_base": 1e6}))
    yarn = dict(factor=4.0, original_max_position_embeddings=32)
    model = random_weights(tf.Qwen3ForCausalLM(tf.Qwen3Config(
        **common, head_dim=16, rope_parameters=rope("yarn", 1e6, **yarn))), 4)
    lines.append(export("qwen3", "qwen3", model, [5, 40, 100],
                        {"rope.freq_base": 1e6, "attention.key_length": 16, "attention.value_length": 16,
                         "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
                         "rope.scaling.original_context_length": 32}))
    model = random_weights(tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(
        **{**common, "num_hidden_layers": 3}, head_dim=16, query_pre_attn_scalar=16, sliding_window=24,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={"full_attention": rope("linear", 1e6, factor=8.0), "sliding_attention": rope()})), 5)
    lines.append(export("gemma3", "gemma3", model, [5, 40, 100],
                        {"rope.freq_base": 1e6, "attention.key_length": 16, "attention.value_length": 16,
                         "attention.sliding_window": 24, "attention.sliding_window_pattern": 2,
                         "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}, plus_one=True))
    model = random_weights(tf.Gemma2ForCausalLM(tf.Gemma2Config(
        **common, head_dim=16, query_pre_attn_scalar=16, sliding_window=24, attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0, rope_parameters=rope())), 8)
    lines.append(export("gemma2", "gemma2", model, [5, 40, 100],
                        {"attention.key_length": 16, "attention.value_length": 16, "attention.sliding_window": 24,
                         "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}, plus_one=True))
    short, long = [1.0, 1.1, 1.2, 1.5], [1.0, 2.0, 5.0, 9.0]
    model = random_weights(tf.Phi3ForCausalLM(tf.Phi3Config(
        **common, sliding_window=30, original_max_position_embeddings=64,
        rope_parameters=rope("longrope", short_factor=short, long_factor=long, original_max_position_embeddings=64,
                             factor=CONTEXT / 64))), 6)
    extra = {"rope_factors_short.weight": short, "rope_factors_long.weight": long}
    metadata = {"rope.scaling.original_context_length": 64, "attention.sliding_window": 30, "rope.dimension_count": 8}
    lines.append(export("phi3", "phi3", model, [5, 40], metadata, extra=extra, context=64))
    lines.append(export("phi3", "phi3", model, [100], metadata, extra=extra))
    model = random_weights(tf.GraniteForCausalLM(tf.GraniteConfig(
        **common, embedding_multiplier=3.0, residual_multiplier=0.5, attention_multiplier=0.25, logits_scaling=2.0,
        rope_parameters=rope())), 7)
    lines.append(export("granite", "granite", model, [5, 40, 100],
                        {"embedding_scale": 3.0, "residual_scale": 0.5, "attention.scale": 0.25, "logit_scale": 2.0},
                        turn=True))
    with open(HERE / "small_models.jsonl", "w") as out:
        for line in lines:
            out.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
