"""Writes checkpoint/npz/testdata: files of numpy.savez, and their arrays as safetensors. usage: python golden/gen/npz.py"""
import io
import pathlib
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

out = pathlib.Path(__file__).parents[2] / "checkpoint/npz/testdata"
out.mkdir(exist_ok=True)
rng = np.random.default_rng(1)
arrays = {f"of.{kind}": (rng.standard_normal((3, 4)) * 50).astype(kind)
          for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")}
arrays |= {"scalar": np.float32(2.5), "empty": np.zeros((0, 3), np.float32), "line": np.arange(5, dtype=np.float32), "repeated": np.zeros((40, 50), np.float32),
           "columns": np.asfortranarray(rng.standard_normal((3, 4, 5))), "with/slash": np.float64([1, 2])}
bfloats = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).bfloat16()
expected = {k: torch.from_numpy(np.ascontiguousarray(v).reshape(np.shape(v))) for k, v in arrays.items()} | {"bfloats": bfloats}
arrays["bfloats"] = bfloats.view(torch.uint16).numpy().view("V2")  # as numpy writes jax's bfloat16
save_file(expected, out / "arrays.safetensors")
np.savez(out / "stored.npz", **arrays)  # members are zip64
np.savez_compressed(out / "deflated.npz", **arrays)


def archive(name, compression, **members):
    with zipfile.ZipFile(out / name, "w", compression) as z:
        for member, array in members.items():
            content = io.BytesIO()
            np.save(content, array)
            z.writestr(zipfile.ZipInfo(member + ".npy"), content.getvalue(), compression)


archive("objects.npz", zipfile.ZIP_STORED, weight=np.array([{}, None]))
archive("big.npz", zipfile.ZIP_STORED, weight=np.arange(3, dtype=">f4"))
archive("records.npz", zipfile.ZIP_STORED, weight=np.zeros(2, [("a", "f4"), ("b", "i4")]))
archive("complex.npz", zipfile.ZIP_STORED, weight=np.zeros(2, np.complex64))
archive("lzma.npz", zipfile.ZIP_LZMA, weight=np.zeros(100))
archive("bzip2.npz", zipfile.ZIP_BZIP2, weight=np.zeros(100))
