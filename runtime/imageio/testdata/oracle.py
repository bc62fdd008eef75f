"""Writes a large set of pictures and what Pillow makes of them, for TestOracle.

    python oracle.py OUT [PHOTO…]
    go test ./runtime/imageio -run TestOracle -v -args -oracle OUT

The set is the product of formats, modes, options and sizes, over scenes that look
like photographs and over the worst cases (noise, saturated stripes), and over the
PHOTOs given, which are taken as they are; those in PNG are also written in every way.

    OUT/NAME.EXT   a picture file
    OUT/NAME.rgb   its pixels, upright and composited over white, 3 bytes each
    OUT/index.json [{"file", "class", "width", "height", "resized": [{"width", "height", "sha256"}]}]
"""
import hashlib
import io
import json
import os
import struct
import sys
import zlib

OUT, PHOTOS = os.path.abspath(sys.argv[1]), [os.path.abspath(p) for p in sys.argv[2:]]

import gen
import gen_deep
import numpy as np
from PIL import Image, ImageDraw

SIZES = [(1, 1), (2, 1), (1, 2), (3, 7), (8, 8), (9, 5), (17, 33), (16, 16), (64, 48), (101, 67), (255, 3)]
index = []


def natural(w, h, seed, channels=3):
    """Noise with the 1/f spectrum and the correlated channels of photographs, some edges and letters."""
    rng = np.random.default_rng(seed)
    n = max(w, h, 16)
    fy, fx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None]
    falloff = 1 / np.maximum(np.hypot(fy, fx), 1 / n)
    layers = [np.fft.irfft2(falloff * np.exp(2j * np.pi * rng.random(falloff.shape)), (n, n)) for _ in range(channels)]
    layers = np.stack([v / v.std() for v in layers], -1)
    mixed = 0.8 * layers[..., :1] + 0.6 * layers
    a = np.clip(118 + 52 * mixed + rng.normal(0, 3, mixed.shape), 0, 255).astype(np.uint8)[:h, :w]
    m = Image.fromarray(a if channels > 1 else a[..., 0], {1: "L", 3: "RGB", 4: "RGBA"}[channels])
    d = ImageDraw.Draw(m)
    for _ in range(w * h // 2000):
        x, y = rng.integers(0, w), rng.integers(0, h)
        ink = tuple(int(v) for v in rng.integers(0, 256, channels)) if channels > 1 else int(rng.integers(0, 256))
        d.ellipse((x, y, x + w // 5, y + h // 6), fill=ink)
        d.text((y % w, x % h), "pgc 42", fill=ink)
    return m


def noise(w, h, seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8))


def stripes(w, h, seed):
    """Saturated colours that change at every pixel or two."""
    y, x = np.mgrid[0:h, 0:w]
    k = (x // (1 + seed % 2) + y // (1 + seed // 2 % 2)) % 3
    return Image.fromarray(np.array([[255, 0, 0], [0, 0, 255], [0, 255, 0]], np.uint8)[k])


def add(name, kind, data, want=None):
    try:
        m = Image.open(io.BytesIO(data))
        if m.mode.startswith("I;16"):  # Pillow clips 16-bit grey at 255
            want = gen_deep.eight(np.asarray(m))
        want = gen.reference(data) if want is None else want
    except Exception as e:
        print(f"Pillow does not read {name}: {e}")
        return
    with open(f"{OUT}/{name}", "wb") as f:
        f.write(data)
    want.tofile(f"{OUT}/{name}.rgb")
    entry = {"file": name, "class": kind, "width": want.shape[1], "height": want.shape[0], "resized": []}
    if kind == "PNG RGB":
        for w, h in ((224, 224), (448, 448), (97, 331), (1, 5), (640, 33)):
            small = Image.fromarray(want).resize((w, h), Image.BICUBIC)
            entry["resized"].append({"width": w, "height": h, "sha256": hashlib.sha256(small.tobytes()).hexdigest()})
    index.append(entry)


def jpegs(base, kind, m):
    """Every way that Pillow writes a JPEG."""
    for quality in (20, 75, 92, 100):
        for sampling in ("4:4:4", "4:2:2", "4:2:0", "4:1:1"):
            for progressive in (False, True):
                ratio = sampling.replace(":", "")
                add(f"{base}-{ratio}-q{quality}{'-p' if progressive else ''}.jpg", f"JPEG {ratio} {'progressive' if progressive else 'baseline'} {kind}",
                    gen.saved(m, "JPEG", quality=quality, subsampling=sampling, progressive=progressive))
        add(f"{base}-grey-q{quality}.jpg", f"JPEG grey {kind}", gen.saved(m.convert("L"), "JPEG", quality=quality))
        add(f"{base}-rgb-q{quality}.jpg", f"JPEG RGB {kind}", gen.saved(m, "JPEG", quality=quality, keep_rgb=True))
        cmyk = np.concatenate([255 - np.asarray(m), np.asarray(m.convert("L").rotate(180))[..., None] // 2], -1)
        for progressive in (False, True):
            add(f"{base}-cmyk-q{quality}{'-p' if progressive else ''}.jpg", f"JPEG CMYK {kind}",
                gen.saved(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=quality, progressive=progressive))
    add(f"{base}-restart.jpg", f"JPEG restarts {kind}", gen.saved(m, "JPEG", restart_marker_blocks=3, optimize=True))
    add(f"{base}-rows.jpg", f"JPEG restarts {kind}", gen.saved(m, "JPEG", restart_marker_rows=1, progressive=True))


def unfinished(base, m):
    """Progressive files that end after every number of scans."""
    for sampling in ("4:4:4", "4:2:0", "4:2:2"):
        data = gen.saved(m, "JPEG", quality=80, subsampling=sampling, progressive=True)
        at = data.find(b"\xff\xda") + 2
        while (at := data.find(b"\xff\xda", at) + 2) > 1:
            add(f"{base}-{sampling.replace(':', '')}-{at}.jpg", "JPEG without its last scans", data[:at - 2] + b"\xff\xd9")


def rgba_of(m, seed):
    return Image.merge("RGBA", [*m.split(), natural(*m.size, seed + 1000, 1)])


def others(base, m, seed):
    a = rgba_of(m, seed)
    modes = {mode: m.convert(mode) for mode in ("1", "L", "P", "RGB")}
    modes |= {"RGBA": a, "LA": a.convert("LA"), "PA": a.quantize(40)}
    for mode, v in modes.items():
        add(f"{base}-{mode}.png", f"PNG {mode}", gen.saved(v, "PNG"))
        if mode != "LA":
            add(f"{base}-{mode}.gif", f"GIF {mode}", gen.saved(v, "GIF"))
        if mode not in ("LA", "PA"):
            add(f"{base}-{mode}.bmp", f"BMP {mode}", gen.saved(v, "BMP"))
        for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
            add(f"{base}-{mode}-{compression}.tiff", f"TIFF {mode}", gen.saved(v, "TIFF", compression=compression))
    wide = np.asarray(m).astype(np.uint16) * 257 ^ 85
    for interlaced in (False, True):
        add(f"{base}-16-{interlaced:d}.png", "PNG RGB 16", gen.png(wide, 16, 2, interlaced))
        add(f"{base}-a16-{interlaced:d}.png", "PNG RGBA 16", gen.png(np.asarray(a).astype(np.uint16) * 257 ^ 85, 16, 6, interlaced))
        add(f"{base}-a8-{interlaced:d}.png", "PNG RGBA", gen.png(np.asarray(a), 8, 6, interlaced))
    for mode, v in (("RGB", m), ("RGBA", a)):
        add(f"{base}-{mode}-lossless.webp", f"WebP lossless {mode}", gen.saved(v, "WEBP", lossless=True))
        for quality in (5, 60, 95):
            add(f"{base}-{mode}-q{quality}.webp", f"WebP lossy {mode}", gen.saved(v, "WEBP", quality=quality, method=quality % 7))
    frames = [rgba_of(natural(*m.size, seed + i), seed + i) for i in (1, 2)]
    for fmt, ext in (("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png")):
        add(f"{base}-animated.{ext}", f"animated {fmt}", gen.saved(a, fmt, save_all=True, append_images=frames, duration=50))


def tiffs(base, m, seed):
    rgb, a = np.asarray(m), np.asarray(rgba_of(m, seed))
    cmyk = np.concatenate([255 - rgb, a[..., 3:] // 2], -1)
    wide = lambda v: v.astype(np.uint16) * 257 ^ 85
    grey = rgb[..., :1]
    for order in "<>":
        for planar in (False, True):
            for tile in (None, (16, 32)):
                name = f"{base}-{order == '>':d}{planar:d}{tile is not None:d}"
                for code, compress in ((1, None), (8, zlib.compress)):
                    for predictor in (1, 2) if code == 8 else (1,):
                        o = dict(order=order, planar=planar, tile=tile, compress=compress, code=code, predictor=predictor)
                        put = lambda kind, data: add(f"{name}-{code}{predictor}-{kind}.tiff", f"TIFF {kind} {'planes' if planar else 'pixels'}", data)
                        put("RGB", gen.tiff(rgb, 2, **o))
                        put("RGBA", gen.tiff(a, 2, extra=(2,), **o))
                        put("CMYK", gen.tiff(cmyk, 5, **o))
                        if planar:
                            continue  # the rest Pillow reads wrong or not at all in planes
                        put("RGBa", gen.tiff((a.astype(int) * np.concatenate([a[..., 3:]] * 3 + [a[..., 3:] * 0 + 255], -1) // 255).astype(np.uint8), 2, extra=(1,), **o))
                        put("RGBX", gen.tiff(a, 2, extra=(0,), **o))
                        put("RGB16", gen.tiff(wide(rgb), 2, bits=16, **o))
                        put("RGBA16", gen.tiff(wide(a), 2, bits=16, extra=(2,), **o))
                        put("CMYK16", gen.tiff(wide(cmyk), 5, bits=16, **o))
                        put("grey", gen.tiff(grey, 1, **o))
                        put("white", gen.tiff(grey, 0, **o))
                        put("grey16", gen.tiff(wide(grey), 1, bits=16, **o))
                        put("12 bits in 16", gen.tiff(grey.astype(np.uint16) << 4 | 3, 1, bits=16, **o))
                        put("Lab", gen.tiff(rgb, 8, **o))
                        if order == "<":
                            put("Big", gen.tiff(rgb, 2, big=True, **o))
                        if order == "<" or code == 1:  # the rest Pillow misreads
                            spread = grey.astype(np.float32) * 1.7 - 50
                            put("float", gen.tiff(spread, 1, bits=32, kind="f", **o))
                            if predictor == 2:
                                put("float predictor", gen.tiff(spread, 1, bits=32, kind="f", **(o | {"predictor": 3})))
                            put("signed16", gen.tiff(spread.astype(int), 1, bits=16, kind="i", **o))
                            put("signed32", gen.tiff(spread.astype(int), 1, bits=32, kind="i", **o))
                        for bits in (1, 2, 4) if predictor == 1 else ():
                            put(f"grey{bits}", gen.tiff(grey >> (8 - bits), 1, bits=bits, **o))
                            put(f"white{bits}", gen.tiff(grey >> (8 - bits), 0, bits=bits, **o))
                            colours = [int(v) for v in np.random.default_rng(seed).integers(0, 65536, 3 << bits)]
                            put(f"palette{bits}", gen.tiff(grey >> (8 - bits), 3, bits=bits, more=[(320, 3, colours)], **o))
    for name, data, want in gen_deep.ycbcr(rgb):
        add(f"{base}-ycbcr-{name}.tiff", "TIFF YCbCr", data, want)
    for quality in (50, 90):
        add(f"{base}-jpeg{quality}.tiff", "TIFF JPEG RGB", gen.saved(m, "TIFF", compression="jpeg", quality=quality))
        add(f"{base}-jpegl{quality}.tiff", "TIFF JPEG grey", gen.saved(m.convert("L"), "TIFF", compression="jpeg", quality=quality))
        add(f"{base}-jpegy{quality}.tiff", "TIFF JPEG YCbCr", gen.saved(m.convert("YCbCr"), "TIFF", compression="jpeg", quality=quality))
        ink = gen.saved(Image.fromarray(cmyk, "CMYK"), "TIFF", compression="jpeg", quality=quality)
        add(f"{base}-jpegc{quality}.tiff", "TIFF JPEG CMYK", ink)
    add(f"{base}-cmyk.tiff", "TIFF CMYK", gen.saved(Image.fromarray(cmyk, "CMYK"), "TIFF"))


def pnms(base, m):
    rgb = np.asarray(m)
    grey = rgb[..., :1]
    for plain in ("", " ", "\r\n"):
        put = lambda kind, number, samples, most=None: add(f"{base}-{kind}-{len(plain)}.pnm", f"PNM {kind}", gen_deep.netpbm(number - 3 * (plain != ""), samples, most, plain))
        put("bits", 4, (grey > 99).astype(int))
        put("grey", 5, grey, 255)
        put("grey100", 5, np.minimum(grey, 100), 100)
        put("rgb", 6, rgb, 255)
        put("rgb31", 6, rgb >> 3, 31)
        put("rgb1023", 6, rgb.astype(int) * 4 + 1, 1023)
        put("rgb16", 6, rgb.astype(int) * 257 ^ 85, 65535)
    spread = Image.fromarray(grey[..., 0].astype(np.float32) * 1.7 - 50)
    add(f"{base}.pfm", "PNM float", gen.saved(spread, "PPM"))


def orientations():
    m = natural(13, 6, 5)
    for o in range(1, 9):
        for fmt, ext in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
            add(f"orient-{o}.{ext}", f"orientation {fmt}", gen.saved(m, fmt, exif=gen.exif(o)))
        add(f"orient-{o}.tiff", "orientation TIFF", gen.saved(m, "TIFF", tiffinfo={0x0112: o}))


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    for i, (w, h) in enumerate(SIZES):
        jpegs(f"natural-{w}x{h}", "natural", natural(w, h, i))
        others(f"natural-{w}x{h}", natural(w, h, i), i)
        pnms(f"natural-{w}x{h}", natural(w, h, i))
        unfinished(f"unfinished-{w}x{h}", natural(w, h, i))
        if w * h < 4000:
            tiffs(f"natural-{w}x{h}", natural(w, h, i), i)
    for i, (w, h) in enumerate(((33, 17), (64, 48))):
        jpegs(f"noise-{w}x{h}", "noise", noise(w, h, i))
        jpegs(f"stripes-{w}x{h}", "stripes", stripes(w, h, i + 2))
    for w, h in ((24, 24), (40, 17), (17, 40), (33, 33), (49, 25), (320, 200)):
        unfinished(f"unfinished-{w}x{h}", natural(w, h, w))
    jpegs("natural-640x427", "natural", natural(640, 427, 9))
    orientations()
    for i, path in enumerate(PHOTOS):
        name = f"photo{i}-{os.path.basename(path)}"
        with open(path, "rb") as f:
            data = f.read()
        add(name, f"photo {os.path.splitext(path)[1]} as it is", data)
        if path.endswith(".png"):
            m = Image.fromarray(np.asarray(Image.open(path).convert("RGB")))  # without its metadata
            jpegs(name, "photo", m)
            others(name, m, i)
    with open(f"{OUT}/index.json", "w") as f:
        json.dump(index, f)
    print(f"{len(index)} pictures")
