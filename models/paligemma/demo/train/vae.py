"""The demo's mask codec: PaliGemma's VQ-VAE (names, strides and layouts of vae-oid.npz) at smaller widths.

A mask is cropped to its box and resized to 64x64; the encoder makes 4x4 vectors of it, the codebook names each by the
nearest of its rows, and the decoder turns the 16 rows back into a 64x64 picture that is positive on the object.
"""

import numpy as np
import torch
import torch.nn as nn
from PIL import Image

SIDE, CODES, DEPTH = 64, 128, 32  # DEPTH: values of a codebook row
GROW = (32, 32, 32, 16, 8)  # channels from the residual blocks to the last layer of the decoder
SHRINK = (1, 8, 16, 32, 32)  # channels from the mask to the residual blocks of the encoder


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
                                 nn.Conv2d(width, width, 1))

    def forward(self, x):
        return x + self.net(x)


class Codec(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for a, b in zip(SHRINK, SHRINK[1:]):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.ReLU()]
        self.encoder = nn.Sequential(*layers, Residual(b), Residual(b), nn.Conv2d(b, DEPTH, 1))
        layers = [nn.Conv2d(DEPTH, GROW[0], 1), nn.ReLU(), Residual(GROW[0]), Residual(GROW[0])]
        for a, b in zip(GROW, GROW[1:]):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, 1), nn.ReLU()]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(b, 1, 1))
        self.register_buffer("codebook", torch.zeros(CODES, DEPTH))

    def vectors(self, masks):
        """The encoder's vectors [n, 16, DEPTH], row-major, of masks [n, 64, 64] in -1…1."""
        return self.encoder(masks[:, None]).flatten(2).mT

    def nearest(self, z):
        """The nearest row of the codebook to each vector; the lowest of equals."""
        return ((self.codebook ** 2).sum(1) - 2 * z @ self.codebook.T).argmin(-1)

    def pictures(self, z):
        """The decoder's pictures [n, 64, 64] of codebook rows [n, 16, DEPTH]: positive on the object."""
        return self.decoder(z.mT.reshape(-1, DEPTH, 4, 4))[:, 0]

    @torch.no_grad()
    def encode(self, masks):
        """The 16 codes of each mask, an array [h, w] of truth values that fills its box."""
        return self.nearest(self.vectors(torch.from_numpy(np.stack([resized(m) for m in masks])).to(self.codebook.dtype)))

    @torch.no_grad()
    def decode(self, codes):
        return self.pictures(self.codebook[codes])


def resized(mask):
    """A mask [h, w] as the encoder sees it: 64x64 by a triangle filter in float32, -1 outside and 1 inside."""
    picture = Image.fromarray(mask.astype(np.float32) * 255, mode="F").resize((SIDE, SIDE), Image.BILINEAR)
    return np.asarray(picture) / 127.5 - 1


def save(codec, path):
    """Writes the codec under the names of vae-oid.npz, float32."""
    state = {k: v.numpy().astype(np.float32) for k, v in codec.state_dict().items()}
    np.savez_compressed(path, **{"_vq_vae._embedding" if k == "codebook" else k: v for k, v in state.items()})


def load(path, dtype=torch.float32):
    codec = Codec()
    with np.load(path) as file:
        codec.load_state_dict({"codebook" if k == "_vq_vae._embedding" else k: torch.from_numpy(file[k]) for k in file.files})
    return codec.to(dtype).eval()
