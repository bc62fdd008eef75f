"""The codec of segmentation masks in torch, and golden/masks: a small vae-oid.npz of random weights, and masks that it decodes.

    python golden/gen/maskdecoder.py                          writes golden/masks
    python golden/gen/maskdecoder.py vae-oid.npz OUT.npz      decodes random codes with any such file: codes [n,16], masks [n,64,64]
"""
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save_file


def decode(w, codes):
    """Masks [n,64,64] of codes [n,16] by the weights of a vae-oid.npz."""
    w = {k: torch.from_numpy(np.asarray(v, np.float32)) for k, v in w.items() if k.startswith("decoder.") or k == "_vq_vae._embedding"}
    conv = torch.nn.functional.conv2d
    relu = torch.relu

    def res(x, name):
        y = relu(conv(x, w[f"{name}.0.weight"], w[f"{name}.0.bias"], padding=1))
        y = relu(conv(y, w[f"{name}.2.weight"], w[f"{name}.2.bias"], padding=1))
        return x + conv(y, w[f"{name}.4.weight"], w[f"{name}.4.bias"])
    x = w["_vq_vae._embedding"][torch.as_tensor(codes)].reshape(-1, 4, 4, w["_vq_vae._embedding"].shape[1]).permute(0, 3, 1, 2)
    x = relu(conv(x, w["decoder.0.weight"], w["decoder.0.bias"]))
    x = res(res(x, "decoder.2.net"), "decoder.3.net")
    for i in (4, 6, 8, 10):
        x = relu(torch.nn.functional.conv_transpose2d(x, w[f"decoder.{i}.weight"], w[f"decoder.{i}.bias"], stride=2, padding=1))
    return conv(x, w["decoder.12.weight"], w["decoder.12.bias"])[:, 0].numpy()


def random_weights(rng, entries, dim, width, inner, ups):
    """Weights of these widths, no two alike: what swaps axes is seen. They keep the size of what passes through."""
    w = {"_vq_vae._embedding": rng.standard_normal((entries, dim))}

    def layer(name, out, into, k, transposed=False, gain=1.4):
        shape = (into, out, k, k) if transposed else (out, into, k, k)
        taps = k * k / 4 if transposed else k * k
        w[f"{name}.weight"], w[f"{name}.bias"] = rng.standard_normal(shape) * gain / np.sqrt(into * taps), rng.standard_normal(out) * 0.1
    layer("decoder.0", width, dim, 1)
    for i in (2, 3):
        layer(f"decoder.{i}.net.0", inner[0], width, 3)
        layer(f"decoder.{i}.net.2", inner[1], inner[0], 3)
        layer(f"decoder.{i}.net.4", width, inner[1], 1, gain=0.5)
    for i, out in zip((4, 6, 8, 10), ups):
        layer(f"decoder.{i}", out, width, 4, transposed=True)
        width = out
    layer("decoder.12", 1, width, 1)
    return {k: v.astype(np.float32) for k, v in w.items()}


if __name__ == "__main__":
    rng = np.random.default_rng(7)
    if len(sys.argv) > 1:
        weights = dict(np.load(sys.argv[1]))
        codes = rng.integers(0, len(weights["_vq_vae._embedding"]), (4, 16))
        np.savez(sys.argv[2], codes=codes, masks=decode(weights, codes))
        sys.exit()
    out = pathlib.Path(__file__).parents[1] / "masks"
    out.mkdir(exist_ok=True)
    # The first transposed convolution is square, as in the released file: only its values tell whether axes are swapped.
    weights = random_weights(rng, 100, 12, 10, (9, 11), (10, 7, 6, 5))
    np.savez_compressed(out / "vae-oid.npz", **weights, **{"_vq_vae._ema_w": np.zeros((100, 12), np.float32), "encoder.0.bias": np.zeros(4, np.float32)})
    codes = rng.integers(0, 100, (3, 16))
    save_file({"codes": codes.astype(np.int32), "masks": decode(weights, codes)}, out / "reference.safetensors")
