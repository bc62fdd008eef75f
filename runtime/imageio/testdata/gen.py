"""Writes the picture fixtures of this folder and what Pillow makes of them.

    pip install -r requirements.txt && python gen.py

    NAME.EXT          a picture file
    want/NAME.EXT.png its pixels by Pillow, upright and composited over white
    bombs/            small files of many pixels
    ../../preprocess/testdata/resize.json
                      digests of Image.resize(BICUBIC) on generated noise
    ../../preprocess/testdata/pixel_values.json
                      what transformers' rescale and normalize make of 0...255

Files are written by Pillow where it can, and by png(), dc_jpeg(), bmp() below
where it cannot (interlacing, odd chroma ratios, YCCK, alpha masks).
"""
import hashlib
import io
import json
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps, __version__
from transformers.image_transforms import convert_to_rgb, normalize, rescale

assert __version__ == "12.3.0", "the fixtures are Pillow 12.3.0's"
os.chdir(os.path.dirname(os.path.abspath(__file__)))
os.makedirs("want", exist_ok=True)
W, H = 29, 19


def scene(w=W, h=H, channels=3, seed=0):
    """Smooth waves of saturated colour, a hard-edged square and a little noise."""
    y, x = np.mgrid[0:h, 0:w]
    waves = [np.sin(x / (3 + c) + c) * np.cos(y / (4 - c / 2) - c) for c in range(channels)]
    a = 127.5 + 127.5 * np.stack(waves, -1)
    a[h // 4:h // 2, w // 4:w // 2] = np.array([255, 0, 40, 128])[:channels]
    a += np.random.default_rng(seed).normal(0, 6, a.shape)
    return np.clip(a, 0, 255).astype(np.uint8)


def reference(data):
    return convert_to_rgb(ImageOps.exif_transpose(Image.open(io.BytesIO(data))), return_numpy=True)


def put(name, data, want=None):
    """Writes a fixture and its pixels."""
    with open(name, "wb") as f:
        f.write(data)
    Image.fromarray(reference(data) if want is None else want).save(f"want/{name}.png", optimize=True)


def saved(image, fmt, **options):
    b = io.BytesIO()
    image.save(b, fmt, **options)
    return b.getvalue()


def exif(orientation):
    e = Image.Exif()
    e[0x0112] = orientation
    return e


# PNG ------------------------------------------------------------------------

def chunk(tag, body):
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def png(samples, depth, colour, interlaced=False, extra=b""):
    """A PNG of samples [h, w, channels], integers below 2**depth."""
    h, w, _ = samples.shape
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b""
    for x, y, dx, dy in passes:
        for row in samples[y::dy, x::dx]:
            if row.size:
                bits = (row.reshape(-1, 1).astype(int) >> np.arange(depth - 1, -1, -1)) & 1
                raw += b"\0" + np.packbits(bits.astype(np.uint8)).tobytes()
    head = struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def pngs():
    rng = np.random.default_rng(1)
    for depth in (1, 2, 4, 8, 16):
        for colour, channels in ((0, 1), (2, 3), (3, 1), (4, 2), (6, 4)):
            if depth < 8 and colour not in (0, 3) or depth == 16 and colour == 3:
                continue
            wide = scene(channels=channels, seed=depth).astype(int) * 257 + rng.integers(-128, 128, (H, W, channels))
            samples = np.clip(wide, 0, 65535) >> (16 - depth)
            extra = b""
            if colour == 3:
                extra = chunk(b"PLTE", rng.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes())
            # Pillow clips 16-bit grey at 255; high bytes are wanted.
            want = np.repeat((samples >> 8).astype(np.uint8), 3, -1) if (depth, colour) == (16, 0) else None
            put(f"c{colour}-d{depth}.png", png(samples, depth, colour, False, extra), want)
            put(f"c{colour}-d{depth}-interlaced.png", png(samples, depth, colour, True, extra), want)
            if colour == 3:
                alphas = rng.integers(0, 256, min(1 << depth, 200), dtype=np.uint8).tobytes()
                put(f"c3-d{depth}-trns.png", png(samples, depth, 3, False, extra + chunk(b"tRNS", alphas)))
    grey = scene(channels=1)
    put("c0-d8-trns.png", png(grey, 8, 0, False, chunk(b"tRNS", struct.pack(">H", int(grey[0, 0, 0])))))
    colours = scene()
    put("c2-d8-trns.png", png(colours, 8, 2, False, chunk(b"tRNS", struct.pack(">3H", *map(int, colours[5, 7])))))
    for depth, colour in ((4, 0), (16, 0), (16, 2)):  # Pillow misses these colours: it compares them with scaled samples
        channels = 1 + colour
        samples = rng.integers(0, 1 << depth, (6, 9, channels))
        clear = samples[2, 3]
        samples[rng.random((6, 9)) < 0.3] = clear
        eight = samples * 17 if depth == 4 else samples >> 8
        want = np.where((samples == clear).all(-1, keepdims=True), 255, np.repeat(eight, 3 // channels, -1)).astype(np.uint8)
        put(f"c{colour}-d{depth}-trns.png", png(samples, depth, colour, False, chunk(b"tRNS", struct.pack(f">{channels}H", *map(int, clear)))), want)
    s, a = np.meshgrid(np.arange(256), np.arange(256))  # every sample at every opacity
    put("alpha-all.png", png(np.stack([s, 255 - s, s ^ 85, a], -1), 8, 6))
    small = Image.fromarray(scene(7, 4))
    for o in range(1, 9):
        put(f"orient-{o}.png", saved(small, "PNG", exif=exif(o)))


    def text(tag, key, rest):
        return chunk(tag, key + b"\0" + rest)
    tiny, e = scene(7, 4), exif(8).tobytes()
    profile = b"\nexif\n%8d\n" % len(e) + b"\n".join(e.hex().encode()[i:i + 72] for i in range(0, 2 * len(e), 72)) + b"\n"
    put("orient-profile.png", png(tiny, 8, 2, extra=text(b"zTXt", b"Raw profile type exif", b"\0" + zlib.compress(profile))))
    put("orient-profile-plain.png", png(tiny, 8, 2, extra=text(b"tEXt", b"Raw profile type exif", profile)))
    xmp = b'<rdf:Description><tiff:Orientation>6</tiff:Orientation></rdf:Description>'
    put("orient-xmp.png", png(tiny, 8, 2, extra=text(b"iTXt", b"XML:com.adobe.xmp", b"\0\0\0\0" + xmp)))
    put("orient-xmp-packed.png", png(tiny, 8, 2, extra=text(b"iTXt", b"XML:com.adobe.xmp", b"\1\0en\0key\0" + zlib.compress(xmp))))


# JPEG -----------------------------------------------------------------------

def dc_jpeg(planes, factors, width, height, adobe=None, ids=None):
    """A baseline JPEG of flat 8x8 blocks: planes[c][i, j] is the DC coefficient of
    block (i, j), quantized by 8, so that each block has one exact sample value."""
    def segment(marker, body):
        return struct.pack(">BBH", 255, marker, len(body) + 2) + body
    n, ids = len(planes), ids or range(1, len(planes) + 1)
    hmax, vmax = max(f[0] for f in factors), max(f[1] for f in factors)
    lengths = [0, 0, 0, 12] + [0] * 12  # DC sizes 0...11, four bits each
    out = b"\xff\xd8"
    if adobe is not None:
        out += segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([adobe]))
    out += segment(0xDB, b"\0" + b"\x08" * 64)
    out += segment(0xC0, struct.pack(">BHHB", 8, height, width, n)
                   + b"".join(bytes([i, h << 4 | v, 0]) for i, (h, v) in zip(ids, factors)))
    out += segment(0xC4, b"\0" + bytes(lengths) + bytes(range(12)))
    out += segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0")  # AC: only end-of-block, code 0
    out += segment(0xDA, bytes([n]) + b"".join(bytes([i, 0]) for i in ids) + b"\0\x3f\0")
    bits, last = [], [0] * n
    for my in range(-(-height // (8 * vmax))):
        for mx in range(-(-width // (8 * hmax))):
            for c, (h, v) in enumerate(factors):
                for y in range(v):
                    for x in range(h):
                        value = int(planes[c][(my * v + y) % planes[c].shape[0], (mx * h + x) % planes[c].shape[1]])
                        d, last[c] = value - last[c], value
                        size = abs(d).bit_length()
                        bits.append(f"{size:04b}")
                        if size:
                            bits.append(f"{d if d > 0 else d + (1 << size) - 1:0{size}b}")
                        bits.append("0")
    bits = "".join(bits)
    bits += "1" * (-len(bits) % 8)
    scan = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    return out + scan + b"\xff\xd9"


def jpegs():
    colour = Image.fromarray(scene(43, 37))
    for sampling in ("4:4:4", "4:2:2", "4:2:0"):
        for progressive in (False, True):
            name = f"q90-{sampling.replace(':', '')}{'-progressive' if progressive else ''}.jpg"
            put(name, saved(colour, "JPEG", quality=90, subsampling=sampling, progressive=progressive))
    put("restart.jpg", saved(colour, "JPEG", quality=75, restart_marker_blocks=2))
    put("restart-progressive.jpg", saved(colour, "JPEG", quality=75, restart_marker_rows=1, progressive=True))
    whole = saved(colour, "JPEG", quality=90, progressive=True)
    put("missing-scans.jpg", whole[:whole.rindex(b"\xff\xda")] + b"\xff\xd9")
    put("first-scan.jpg", whole[:whole.index(b"\xff\xda", whole.index(b"\xff\xda") + 2)] + b"\xff\xd9")
    put("grey.jpg", saved(colour.convert("L"), "JPEG", quality=60))
    put("cmyk.jpg", saved(Image.fromarray(scene(channels=4), "CMYK"), "JPEG", quality=95))
    for w, h in ((1, 1), (2, 3), (3, 2), (5, 1), (1, 9), (17, 16)):
        put(f"q80-{w}x{h}.jpg", saved(Image.fromarray(scene(w, h)), "JPEG", quality=80))
    put("orient-6.jpg", saved(colour, "JPEG", exif=exif(6)))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
    put("orient-xmp.jpg", saved(colour, "JPEG", xmp=xmp))
    rng = np.random.default_rng(2)
    flat = [rng.integers(-120, 121, (6, 7)) for _ in range(4)]
    for name, factors in (("444", [(1, 1)] * 3), ("422", [(2, 1), (1, 1), (1, 1)]), ("420", [(2, 2), (1, 1), (1, 1)]),
                          ("440", [(1, 2), (1, 1), (1, 1)]), ("411", [(4, 1), (1, 1), (1, 1)]),
                          ("410", [(4, 2), (1, 1), (1, 1)]), ("221212", [(2, 2), (1, 2), (1, 2)])):
        for w, h in ((53, 41), (35, 18)):
            put(f"flat-{name}-{w}.jpg", dc_jpeg(flat[:3], factors, w, h))
    put("flat-rgb.jpg", dc_jpeg(flat[:3], [(1, 1)] * 3, 23, 17, adobe=0))
    put("flat-rgb-ids.jpg", dc_jpeg(flat[:3], [(1, 1)] * 3, 23, 17, ids=b"RGB"))
    put("flat-cmyk.jpg", dc_jpeg(flat, [(1, 1)] * 4, 23, 17, adobe=0))
    put("flat-cmyk-plain.jpg", dc_jpeg(flat, [(1, 1)] * 4, 23, 17))
    put("flat-ycck.jpg", dc_jpeg(flat, [(1, 1)] * 4, 23, 17, adobe=2))
    put("flat-ycck-420.jpg", dc_jpeg(flat, [(2, 2), (1, 1), (1, 1), (2, 2)], 37, 29, adobe=2))


# The others -----------------------------------------------------------------

def gifs():
    p = Image.fromarray(scene()).quantize(50)
    put("plain.gif", saved(p, "GIF", interlace=False))
    put("interlaced.gif", saved(p, "GIF", interlace=True))
    put("transparent.gif", saved(p, "GIF", transparency=3))
    put("animated.gif", saved(p, "GIF", save_all=True, append_images=[Image.fromarray(scene(seed=9)).quantize(8)]))
    for name, options in (("canvas", {}), ("canvas-transparent", {"transparency": 3})):
        b = bytearray(saved(p, "GIF", interlace=False, **options))
        struct.pack_into("<HH", b, 6, W + 9, H + 6)  # a larger screen, the frame moved on it
        at = b.index(b"," + struct.pack("<HHHH", 0, 0, W, H))
        struct.pack_into("<HH", b, at + 1, 4, 5)
        put(f"{name}.gif", bytes(b))


def webps():
    rgb, rgba = Image.fromarray(scene()), Image.fromarray(scene(channels=4))
    put("lossy.webp", saved(rgb, "WEBP", quality=70))
    put("lossy-even.webp", saved(Image.fromarray(scene(34, 20)), "WEBP", quality=30))
    put("lossy-1x1.webp", saved(Image.fromarray(scene(1, 1)), "WEBP"))
    put("lossy-alpha.webp", saved(rgba, "WEBP", quality=80))
    put("lossless.webp", saved(rgb, "WEBP", lossless=True))
    put("lossless-alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True))
    put("orient-8.webp", saved(rgb, "WEBP", lossless=True, exif=exif(8)))
    put("animated.webp", saved(rgba, "WEBP", save_all=True, append_images=[Image.fromarray(scene(channels=4, seed=5))]))

    def riff(tag, body):
        return tag + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    size24 = [struct.pack("<I", v)[:3] for v in (2, 3, W - 1, H - 1, 40)]
    frame = b"".join(size24) + b"\0" + saved(rgb, "WEBP", quality=70)[12:]
    canvas = b"\x02\0\0\0" + struct.pack("<I", W + 8)[:3] + struct.pack("<I", H + 7)[:3]
    for name, flags in (("canvas", 2), ("canvas-transparent", 18)):
        body = b"WEBP" + riff(b"VP8X", bytes([flags]) + canvas[1:]) + riff(b"ANIM", bytes(6)) + riff(b"ANMF", frame)
        put(f"{name}.webp", riff(b"RIFF", body))
    alpha = bytearray(saved(rgba, "WEBP", quality=80))
    alpha[20] &= ~16  # the extended header denies the alpha there is
    put("alpha-denied.webp", bytes(alpha))


def bmp(pixels, header, bits, compression=0, masks=(), palette=b"", top_down=False, rows=None):
    """A BMP; pixels hold whole bytes, one row of the array for one of the picture, rows packed data of the size of pixels."""
    h, w = pixels.shape[:2]
    if rows is None:
        rows = b"".join(r.tobytes() + b"\0" * (-len(r.tobytes()) % 4) for r in (pixels if top_down else pixels[::-1]))
    if header == 12:
        info = struct.pack("<IHHHH", header, w, h, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, w, -h if top_down else h, 1, bits, compression, len(rows), 0, 0, len(palette) // 4, 0)
    info += struct.pack(f"<{len(masks)}I", *masks)
    info += b"\0" * (header - len(info)) + palette
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(rows), 0, 0, 14 + len(info)) + info + rows


def packed(indices, bits):
    """Rows of indices of 1, 2 or 4 bits, from the bottom, padded to four bytes."""
    out = b""
    for row in indices[::-1]:
        b = np.packbits(((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)).tobytes()
        out += b + b"\0" * (-len(b) % 4)
    return out


def run_lengths(indices, bits):
    """Run-length code: runs, pixels as they are, moves over zeros, row ends."""
    def literal(row):
        if bits == 8:
            b = bytes(row.tolist())
        else:
            b = bytes(a << 4 | c for a, c in zip(row[::2], list(row[1::2]) + [0]))
        return bytes([0, len(row)]) + b + b"\0" * (len(b) % 2)
    out, up = b"", 0
    for row in indices[::-1]:
        if not row.any():
            up += 1
            continue
        if up:
            out += bytes([0, 2, 0, up])
            up = 0
        x = 0
        while x < len(row):
            n = 1
            while x + n < len(row) and row[x + n] == row[x]:
                n += 1
            if row[x] == 0 and n > 3 and x + n < len(row):
                out += bytes([0, 2, n, 0])
            elif n > 1:
                out += bytes([n, int(row[x]) * (17 if bits == 4 else 1)])
            else:
                while x + n < len(row) and n < 11 and row[x + n] != row[x + n - 1]:
                    n += 1
                out += literal(row[x:x + n]) if n > 2 else b"".join(bytes([1, int(v) << (8 - bits)]) for v in row[x:x + n])
            x += n
        out += b"\0\0"
    return out + b"\0\1"


def bmps():
    rgb, rgba = Image.fromarray(scene()), scene(channels=4)
    for mode in ("1", "L", "P", "RGB"):
        put(f"{mode.lower()}.bmp", saved(rgb.convert(mode), "BMP"))
    put("rgbx.bmp", bmp(rgba, 40, 32))
    put("rgbx-v5.bmp", bmp(rgba, 124, 32))
    put("rgba-v4.bmp", bmp(rgba, 108, 32, 3, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
    put("top-down.bmp", bmp(scene(), 40, 24, top_down=True))
    put("core.bmp", bmp(scene(), 12, 24))
    rng = np.random.default_rng(6)
    wide = rng.integers(0, 1 << 16, (H, W)).astype("<u2")
    put("555.bmp", bmp(wide, 40, 16))
    put("565.bmp", bmp(wide, 40, 16, 3, (0xF800, 0x7E0, 0x1F), top_down=True))
    put("565-v3.bmp", bmp(wide, 56, 16, 3, (0xF800, 0x7E0, 0x1F, 0)))
    deep = rng.integers(0, 1 << 32, (H, W)).astype("<u4")  # 10 bits each, which Pillow does not read
    put("101010.bmp", bmp(deep, 40, 32, 3, (0x3FF00000, 0xFFC00, 0x3FF)),
        np.stack([(deep >> s & 1023).astype(int) * 255 // 1023 for s in (20, 10, 0)], -1).astype(np.uint8))
    colours = rng.integers(0, 256, (256, 4), dtype=np.uint8)
    for bits in (1, 2, 4, 8):
        table = colours[:1 << bits]
        indices = rng.integers(0, 1 << bits, (H, W))
        want = table[indices][..., 2::-1]
        put(f"palette-{bits}.bmp", bmp(indices, 40, bits, palette=table.tobytes(), rows=packed(indices, bits)), want)
        put(f"palette-{bits}-core.bmp", bmp(indices, 12, bits, palette=table[:, :3].tobytes(), rows=packed(indices, bits)), want)
        if bits < 4:
            continue
        indices[rng.random((H, W)) < 0.5] = 0
        indices[3:7] = 0
        indices[9:11, 4:20] = 5
        want = table[indices][..., 2::-1]
        put(f"rle{bits}.bmp", bmp(indices, 40, bits, 2 if bits == 4 else 1, palette=table.tobytes(), rows=run_lengths(indices, bits)), want)


def tiff(samples, photometric, order="<", planar=False, tile=None, compress=None, code=1, predictor=1, bits=8, extra=(), more=(), xmp=b"", kind="u", big=False,
         pack=None):
    """A TIFF or a BigTIFF of samples [h, w, channels], of numpy's kind u, i or f, in ways that Pillow does not write.
    pack makes the bytes of a strip or tile."""
    h, w, n = samples.shape
    bw, bh = tile or (w, 7)
    data = samples.astype(order + kind + {12: "2", 16: "2", 32: "4"}.get(bits, "1"))
    blocks = []
    for plane in ([data[..., i:i + 1] for i in range(n)] if planar else [data]):
        for y in range(0, h, bh):
            for x in range(0, w, bw):
                b = plane[y:y + bh, x:x + bw]
                if tile:
                    b = np.pad(b, ((0, bh - b.shape[0]), (0, bw - b.shape[1]), (0, 0)))
                if predictor == 2 and code in (5, 8):  # libtiff ignores the tag with others
                    b = np.concatenate([b[:, :1], b[:, 1:] - b[:, :-1]], 1).astype(data.dtype)
                raw = pack(b) if pack else b.tobytes()
                if predictor == 3:
                    raw = b"".join(float_row(r) for r in b)
                if bits < 8 or bits == 12:
                    raw = b"".join(np.packbits((r.reshape(-1, 1) >> np.arange(bits - 1, -1, -1)) & 1).tobytes() for r in b)
                blocks.append(compress(raw) if compress else raw)
    short, long, word = (3, 16, 8) if big else (3, 4, 4)
    offsets, at = [], 2 * word
    for b in blocks:
        offsets.append(at)
        at += len(b)
    sizes = [len(b) for b in blocks]
    entries = [(256, short, [w]), (257, short, [h]), (258, short, [bits] * n), (259, short, [code]), (262, short, [photometric]), (277, short, [n]),
               (284, short, [2 if planar else 1]), (317, short, [predictor]), *more]
    entries += [(322, short, [bw]), (323, short, [bh]), (324, long, offsets), (325, long, sizes)] if tile else [(273, long, offsets), (278, short, [bh]), (279, long, sizes)]
    if extra:
        entries.append((338, short, list(extra)))
    if kind != "u":
        entries.append((339, short, [{"i": 2, "f": 3}[kind]] * n))
    if xmp:
        entries.append((700, 1, list(xmp)))
    entries.sort()
    at += at % 2
    place, count = order + "HIQ"[word // 4], order + ("Q" if big else "H")
    size = struct.calcsize(count) + (4 + 2 * word) * len(entries) + word
    directory, tail = b"", b""
    for c, form, values in entries:
        v = struct.pack(f"{order}{len(values)}{'?B?HI'[form] if form < 5 else 'Q'}", *values)
        if len(v) > word:
            v, tail = struct.pack(place, at + size + len(tail)), tail + v + b"\0" * (len(v) % 2)
        directory += struct.pack(order + "HH" + place[1:], c, form, len(values)) + v.ljust(word, b"\0")
    body = b"".join(blocks)
    head = (b"II" if order == "<" else b"MM") + (struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)) + struct.pack(place, at)
    return head + body + b"\0" * (len(body) % 2) + struct.pack(count, len(entries)) + directory + b"\0" * word + tail


def float_row(row):
    """A row of float32 [w, channels] as the predictor of floats writes it."""
    planes = np.frombuffer(row.astype(">f4").tobytes(), np.uint8).reshape(-1, 4).T.reshape(-1)
    n = row.shape[-1]
    return np.concatenate([planes[:n], planes[n:] - planes[:-n]]).tobytes()


def literals(raw):
    """PackBits without a run of equal bytes."""
    return b"".join(bytes([len(raw[i:i + 128]) - 1]) + raw[i:i + 128] for i in range(0, len(raw), 128))


def tiffs():
    rgb, rgba = Image.fromarray(scene()), Image.fromarray(scene(channels=4))
    put("raw.tiff", saved(rgb, "TIFF"))
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        put(f"{compression}.tiff", saved(rgb, "TIFF", compression=compression))
    put("rgba.tiff", saved(rgba, "TIFF"))
    put("grey.tiff", saved(rgb.convert("L"), "TIFF"))
    put("palette.tiff", saved(rgb.convert("P"), "TIFF"))
    put("bilevel.tiff", saved(rgb.convert("1"), "TIFF"))
    group4 = saved(rgb.convert("1"), "TIFF", compression="group4")
    put("group4.tiff", group4)
    black, white = (struct.pack("<HHII", 262, 3, 1, v) for v in (1, 0))
    assert black in group4
    put("group4-white.tiff", group4.replace(black, white))
    put("group3.tiff", saved(rgb.convert("1"), "TIFF", compression="group3"))
    wide = scene(channels=1)[..., 0].astype(np.uint16) * 257
    put("grey16.tiff", saved(Image.fromarray(wide), "TIFF"), np.repeat((wide >> 8).astype(np.uint8)[..., None], 3, -1))
    rgba, rgb = np.asarray(rgba), np.asarray(rgb)
    deflate = dict(compress=zlib.compress, code=8)
    put("grey-alpha.tiff", tiff(rgba[..., 2:], 1, extra=(2,), **deflate))
    put("premultiplied.tiff", tiff(np.minimum(rgba, rgba[..., 3:]), 2, extra=(1,), **deflate))
    put("cmyk.tiff", tiff(rgba, 5, predictor=2, **deflate))
    put("planes.tiff", tiff(rgba, 2, extra=(2,), planar=True, **deflate))
    put("tiles.tiff", tiff(rgb, 2, order=">", tile=(16, 16), predictor=2, **deflate))
    put("rgb16.tiff", tiff(rgb.astype(np.uint16) * 257 ^ 85, 2, order=">", bits=16, predictor=2, **deflate))
    put("raw-predictor.tiff", tiff(rgb, 2, predictor=2))
    put("packbits-predictor.tiff", tiff(rgb, 2, compress=literals, code=32773, predictor=2))
    put("white4.tiff", tiff(rgb[..., :1] >> 4, 0, bits=4))
    put("jpeg.tiff", saved(Image.fromarray(scene(40, 40)), "TIFF", compression="jpeg", quality=80))
    grey = saved(Image.fromarray(scene(21, 9, 1)[..., 0]), "TIFF", compression="jpeg")
    put("jpeg-grey.tiff", grey)
    assert black in grey
    put("jpeg-white.tiff", grey.replace(black, white))
    put("jpeg-cmyk.tiff", saved(Image.fromarray(scene(40, 25, 4), "CMYK"), "TIFF", compression="jpeg", quality=80))
    put("orient-6.tiff", saved(Image.fromarray(rgb), "TIFF", tiffinfo={0x0112: 6}))
    put("orient-xmp.tiff", tiff(rgb[:7, :9], 2, xmp=b'<rdf:Description tiff:Orientation="5"/>'))


# Preprocessing --------------------------------------------------------------

def noise(w, h, seed):
    """The generator that the Go tests repeat: the high bytes of a 32-bit LCG."""
    out = bytearray(3 * w * h)
    for i in range(len(out)):
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = seed >> 24
    return np.frombuffer(bytes(out), np.uint8).reshape(h, w, 3)


def preprocessing():
    sizes = [(1, 1, 5, 5), (1, 7, 3, 2), (2, 1, 1, 1), (5, 5, 5, 5), (13, 9, 13, 4), (13, 9, 4, 9), (13, 9, 13, 22), (640, 2, 31, 17),
             (2, 640, 17, 31), (3, 301, 8, 300), (3, 300, 8, 299), (3, 301, 3, 20), (3, 301, 8, 400), (112, 112, 224, 224),
             (224, 224, 112, 112), (255, 131, 56, 56), (97, 331, 224, 224), (449, 97, 28, 448), (31, 29, 1, 1), (61, 47, 2, 2)]
    rng = np.random.default_rng(3)
    sizes += [tuple(int(v) for v in np.exp(rng.uniform(0, 5, 4)).astype(int)) for _ in range(60)]
    cases = []
    for seed, (w, h, rw, rh) in enumerate(sizes):
        out = np.asarray(Image.fromarray(noise(w, h, seed)).resize((rw, rh), Image.BICUBIC))
        cases.append({"from": [w, h], "to": [rw, rh], "seed": seed, "sha256": hashlib.sha256(out.tobytes()).hexdigest()})
    with open("../../preprocess/testdata/resize.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
    cases = []
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, -1)
    for factor, mean, std in ((1 / 255, [0.5] * 3, [0.5] * 3), (1 / 255, [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
                              (0.00392156862745098, [0.0] * 3, [1.0] * 3), (1.0, [127.5] * 3, [127.5] * 3)):
        out = normalize(rescale(ramp, factor, input_data_format="channels_last"), mean, std, input_data_format="channels_last")
        assert out.dtype == np.float32
        cases.append({"rescale": factor, "mean": mean, "std": std, "values": [[float(v) for v in out[:, 0, c]] for c in range(3)]})
    with open("../../preprocess/testdata/pixel_values.json", "w") as f:
        json.dump(cases, f)


def bombs():
    """Small files of two megapixels, whose memory TestMemory measures."""
    os.makedirs("bombs", exist_ok=True)
    plain, clear = Image.new("RGB", (2000, 1000), (200, 30, 90)), Image.new("RGBA", (2000, 1000), (200, 30, 90, 77))
    for name, m, fmt, options in (("lossy.webp", plain, "WEBP", {"quality": 1, "method": 6}), ("lossless.webp", plain, "WEBP", {"lossless": True}),
                                  ("alpha.webp", clear, "WEBP", {"quality": 1, "method": 6}), ("lossless-alpha.webp", clear, "WEBP", {"lossless": True}),
                                  ("plain.gif", plain, "GIF", {}), ("orient.webp", plain, "WEBP", {"lossless": True, "exif": exif(6)}),
                                  ("deflate.tiff", clear, "TIFF", {"compression": "tiff_adobe_deflate"})):
        with open(f"bombs/{name}", "wb") as f:
            f.write(saved(m, fmt, **options))


if __name__ == "__main__":
    import gen_deep
    for write in (bombs, pngs, jpegs, gifs, webps, bmps, tiffs, gen_deep.tiffs, gen_deep.pnms, preprocessing):
        write()
