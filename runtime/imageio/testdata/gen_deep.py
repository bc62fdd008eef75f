"""Fixtures of more than 8 bits a sample, BigTIFF, and Netpbm's files. gen.py calls it.

Pillow clips gray samples of 16 bits at 255. eight() has what is wanted instead; all else is Pillow's.
"""
import zlib

import numpy as np

import gen
from PIL import Image


def eight(v):
    """8 bits of gray samples of 16 bits: the high ones of the 8, 10, 12 or 16 that they reach."""
    bits = next(b for b in (8, 10, 12, 16) if v.max() < 1 << b or b == 16) if v.max() > 0 else 16
    return np.repeat((v >> (bits - 8)).astype(np.uint8).reshape(*v.shape[:2], 1), 3, -1)


def tiffs():
    rgb, grey = gen.scene(), gen.scene(channels=1).astype(np.uint16)
    deflate = dict(compress=zlib.compress, code=8)
    for bits in (8, 10, 12):
        deep = grey << (bits - 8) | 1
        gen.put(f"grey16-{bits}.tiff", gen.tiff(deep, 1, bits=16), eight(deep))
        gen.put(f"grey16-{bits}.png", gen.png(deep, 16, 0), eight(deep))
    twelve = grey << 4 | 5
    gen.put("grey12.tiff", gen.tiff(twelve, 1, bits=12), eight(twelve))
    gen.put("grey12-mm.tiff", gen.tiff(twelve[:, :28], 1, order=">", bits=12, **deflate), eight(twelve[:, :28]))
    gen.put("big.tiff", gen.tiff(rgb, 2, big=True, **deflate))
    gen.put("big-tiles.tiff", gen.tiff(rgb, 2, big=True, tile=(16, 16), predictor=2, **deflate))
    gen.put("big-mm.tiff", gen.tiff(rgb, 2, order=">", big=True, **deflate), rgb)  # Pillow reads it as a TIFF
    spread = grey.astype(np.float32) * 1.37 - 40.6
    spread[3, 3:6, 0] = [np.nan, np.inf, -np.inf]
    def put(name, samples, **options):
        """Both byte orders. Pillow misreads those compressed that are not the machine's; the pixels are the same."""
        little, large = (gen.tiff(samples, 1, order=order, **options) for order in "<>")
        gen.put(f"{name}-ii.tiff", little)
        gen.put(f"{name}-mm.tiff", large, gen.reference(little))

    put("float", spread, bits=32, kind="f")
    put("float-predictor", spread, bits=32, kind="f", predictor=3, **deflate)
    put("signed16", grey.astype(int) - 60, bits=16, kind="i", predictor=2, **deflate)
    put("signed32", grey.astype(int) * 3 - 60, bits=32, kind="i", predictor=2, **deflate)
    lab = np.random.default_rng(4).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    lab[0, :8] = [[0, 0, 0], [255, 0, 0], [128, 0, 0], [255, 127, 127], [255, 128, 128], [0, 127, 128], [128, 255, 1], [1, 1, 1]]
    gen.put("lab.tiff", gen.tiff(lab, 8, **deflate))
    gen.put("lab-planes.tiff", gen.tiff(lab[:9, :9], 8, planar=True, order=">"), gen.reference(gen.tiff(lab[:9, :9], 8)))  # Pillow takes planes as unsigned
    gen.put("float-white.tiff", gen.tiff(spread, 0, bits=32, kind="f"))
    gen.put("unsigned32.tiff", gen.tiff(grey.astype(np.int64) * 20_000_000, 1, bits=32))
    for name, data, want in ycbcr(np.random.default_rng(5).integers(0, 256, (23, 37, 3), dtype=np.uint8)):
        gen.put(f"ycbcr-{name}.tiff", data, want)


def shared(across, down):
    """Packs a strip of Y, Cb and Cr in units of across times down pixels, which share their chroma samples."""
    def pack(b):
        h, w, _ = b.shape
        b = np.pad(b, ((0, -h % down), (0, -w % across), (0, 0)), mode="edge")
        units = b.reshape(b.shape[0] // down, down, b.shape[1] // across, across, 3).swapaxes(1, 2)
        luma = units[..., 0].reshape(*units.shape[:2], -1)
        return np.concatenate([luma, units[..., 0, 0, 1:]], -1).tobytes()
    return pack


def ycbcr(samples):
    """YCbCr without JPEG: names, files and what is wanted, None for what Pillow makes of the file."""
    deflate = dict(compress=zlib.compress, code=8)
    one = (530, 3, [1, 1])
    fractions = lambda *v: [round(x * 1000) | 1000 << 32 for x in v]
    other = [(529, 5, fractions(.2125, .7154, .0721)), (532, 5, fractions(16, 235, 128, 240, 128, 240))]
    rgb = np.asarray(Image.fromarray(samples, "YCbCr").convert("RGB"))  # as Pillow 13 reads what is not compressed; 12.3 takes four samples for a pixel
    yield "raw", gen.tiff(samples, 6, more=[one]), rgb
    yield "raw-tiles", gen.tiff(samples, 6, tile=(16, 16), more=other), rgb
    yield "predictor", gen.tiff(samples, 6, predictor=2, more=[one], **deflate), None
    yield "planes", gen.tiff(samples, 6, planar=True, more=[one], **deflate), None
    yield "rec709", gen.tiff(samples, 6, more=[one, *other], **deflate), None
    for across, down in (2, 1), (1, 2), (2, 2), (4, 1), (4, 2), (4, 4):
        form = lambda **o: gen.tiff(samples, 6, pack=shared(across, down), more=[(530, 3, [across, down])], **o)
        spread = samples[np.arange(len(samples)) // down * down][:, np.arange(len(samples[0])) // across * across]
        want = gen.reference(gen.tiff(np.concatenate([samples[..., :1], spread[..., 1:]], -1), 6, more=[one], **deflate))
        yield f"{across}{down}", form(tile=(32, 16), **deflate), want if down == 4 else None  # where libtiff 4.7.1 errs
        yield f"{across}{down}-raw", form(tile=(32, 16)), want  # which Pillow takes for whole samples
        if 7 % down == 0:  # the rows of a strip
            yield f"{across}{down}-strips", form(compress=gen.literals, code=32773), None


def netpbm(kind, samples, most=None, plain="", comment=b""):
    """A file of samples [h, w, channels]."""
    h, w, n = samples.shape
    head = b"P%d\n%s%d %d\n" % (kind, comment, w, h) + (b"%d\n" % most if most else b"")
    if plain:
        return head + plain.join(str(v) for v in samples.reshape(-1)).encode()
    if kind == 4:
        return head + np.packbits(samples[..., 0], axis=1).tobytes()
    return head + samples.astype(">u2" if most > 255 else "u1").tobytes()


def pnms():
    rgb, grey = gen.scene(), gen.scene(channels=1)
    bit = (grey > 99).astype(int)
    gen.put("bits.pbm", netpbm(4, bit, comment=b"# of\n"))
    gen.put("bits-plain.pbm", netpbm(1, bit, plain=" "))
    gen.put("grey.pgm", netpbm(5, grey, 255))
    gen.put("grey-plain.pgm", netpbm(2, grey, 255, plain="\n", comment=b"# 7\r\n"))
    gen.put("grey-100.pgm", netpbm(5, grey % 110, 100))
    gen.put("rgb.ppm", netpbm(6, rgb, 255))
    gen.put("rgb-plain.ppm", netpbm(3, rgb // 16, 15, plain="  "))
    gen.put("rgb-1023.ppm", netpbm(6, rgb.astype(int) * 4 + 1, 1023))
    gen.put("rgb-65535.ppm", netpbm(6, rgb.astype(int) * 257 ^ 85, 65535))
    deep = grey.astype(np.uint16) * 257 ^ 85
    gen.put("grey-65535.pgm", netpbm(5, deep, 65535), eight(deep))
    twelve = grey.astype(np.uint16) * 16
    scaled = np.round(twelve / 4095 * 65535).astype(np.uint16)
    gen.put("grey-4095.pgm", netpbm(5, twelve, 4095), eight(scaled))
    gen.put("grey-4095-plain.pgm", netpbm(2, twelve, 4095, plain=" "), eight(scaled))
    spread = Image.fromarray(grey[..., 0].astype(np.float32) * 1.37 - 40.6)
    gen.put("float.pfm", gen.saved(spread, "PPM"))
    gen.put("float-mm.pfm", b"Pf\n3 2\n1.0\n" + np.array([[1, 20.9, 300], [-5, 254.99, 7]], ">f4").tobytes())
