"""Grows a PaliGemma 2 model out of a trained PaliGemma 1 model.

Everything both have is taken over; the one key-value head becomes two equal ones; and the norms behind attention and MLP,
which PaliGemma 1 lacks, begin with the mean root mean square of what they normalise, so that a layer adds about as much
as before. What differs still (each token's own size, windows, caps) tune.py trains away.
"""

import torch

from model import build


def sizes(net, see):
    """The mean root mean square of what each layer's attention and MLP of a net put out while see(net) runs: a list of
    (attention, MLP)."""
    seen, hooks = {}, []
    for layer in net.model.language_model.layers:
        for part in (layer.self_attn, layer.mlp):
            def keep(part, _, out):
                out = out[0] if isinstance(out, tuple) else out
                seen.setdefault(part, []).append(out.square().mean(-1).sqrt().flatten())
            hooks.append(part.register_forward_hook(keep))
    with torch.no_grad():
        see(net)
    for hook in hooks:
        hook.remove()
    mean = lambda part: torch.cat(seen[part]).mean().item()
    return [(mean(layer.self_attn), mean(layer.mlp)) for layer in net.model.language_model.layers]


def grown(net, see):
    """A PaliGemma 2 model from a PaliGemma 1 model; see as in sizes."""
    out, have, new = build("gemma2"), net.state_dict(), {}
    size = sizes(net, see)
    for key, own in out.state_dict().items():
        if key.endswith(("k_proj.weight", "v_proj.weight")) and "language_model" in key:
            new[key] = torch.cat([have[key]] * (len(own) // len(have[key])))
        elif "post_attention_layernorm" in key or "post_feedforward_layernorm" in key:
            layer = int(key.split("layers.")[1].split(".")[0])
            new[key] = torch.full_like(own, size[layer]["feedforward" in key] - 1)  # the norm multiplies by 1 + weight
        else:
            new[key] = have[key.replace("pre_feedforward", "post_attention")]
    out.load_state_dict(new)
    return out
