"""Writes what transformers' logits processors make of random logits, and the log-probabilities of a greedy generation.

    pip install transformers==5.23.0 torch && python gen.py

processors.json  [{temperature, top_k, top_p, repetition_penalty, suppress, seen, logits, scores}]: the processors that
                 generate() itself puts together for the settings; -inf is null.
greedy.json      {suppress, tokens, logprobs, logits}: a tiny model's generation and compute_transition_scores.
"""

import json
import math
import pathlib

import torch
import transformers

assert transformers.__version__ == "5.23.0", "pinned version"
HERE = pathlib.Path(__file__).parent
VOCAB = 41


def model():
    torch.manual_seed(3)
    config = transformers.LlamaConfig(vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                                      bos_token_id=1, eos_token_id=None, pad_token_id=0, initializer_range=0.6)
    return transformers.LlamaForCausalLM(config).eval()


def numbers(tensor):
    return [None if math.isinf(v) else v for v in tensor.tolist()]


def processors(net):
    rng = torch.Generator().manual_seed(5)
    out = []
    for i in range(48):
        temperature = [1.0, 0.7, 1.9, 0.2][i % 4]
        top_k = [0, 1, 5, 40, 50][i % 5]
        top_p = [1.0, 0.9, 0.5, 0.05, 0.999][(i // 2) % 5]
        penalty = [1.0, 1.3, 0.8, 5.0][(i // 3) % 4]
        suppress = [[], [0, 2, 40], [7]][i % 3]
        logits = torch.randn(VOCAB, generator=rng) * [1.0, 4.0, 0.1][i % 3]
        if i % 6 == 5:
            logits = (logits * 2).round() / 2  # ties
        seen = torch.randint(0, VOCAB, (1, 1 + i % 13), generator=rng)
        config = transformers.GenerationConfig(do_sample=True, temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty,
                                               suppress_tokens=suppress or None, pad_token_id=0)
        chain = net._get_logits_processor(config, input_ids_seq_length=seen.shape[1], device="cpu", model_kwargs={})
        scores = chain(seen, logits[None].clone())[0]
        out.append(dict(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty, suppress=suppress, seen=seen[0].tolist(),
                        logits=numbers(logits), scores=numbers(scores)))
    return out


def greedy(net):
    suppress = [0, 1, 17, 23, 38]
    ids = torch.tensor([[1, 5, 9, 30]])
    with torch.no_grad():
        r = net.generate(ids, max_new_tokens=12, do_sample=False, suppress_tokens=suppress, return_dict_in_generate=True, output_scores=True,
                         output_logits=True)
    scores = net.compute_transition_scores(r.sequences, r.scores, normalize_logits=True)
    return dict(suppress=suppress, tokens=r.sequences[0, ids.shape[1]:].tolist(), logprobs=scores[0].tolist(),
                logits=[numbers(step[0]) for step in r.logits])


if __name__ == "__main__":
    net = model()
    for name, value in ("processors", processors(net)), ("greedy", greedy(net)):
        lines = ",\n".join(json.dumps(v, separators=(",", ":")) for v in value) if isinstance(value, list) else None
        (HERE / f"{name}.json").write_text(f"[{lines}]\n" if lines else json.dumps(value, separators=(",", ":")) + "\n")
