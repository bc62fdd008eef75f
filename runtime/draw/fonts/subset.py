"""Writes the fonts of labels: python subset.py DejaVuSans-Bold.ttf NotoSansThai-Bold.ttf DroidSansFallbackFull.ttf

Needs fonttools (fonts: Debian's fonts-dejavu-core, fonts-noto-core and fonts-droid-fallback). Each font keeps the
characters of its row of KEEP, without hints and layout tables, and is compressed: runtime/draw reads cmap, metrics and
outlines alone.
"""

import gzip
import sys

from fontTools import subset


def ranges(*pairs):
    return {c for a, b in pairs for c in range(a, b + 1)}


def encodable(*codecs):
    """The letters and signs of the basic plane that national standards have, without private ones."""
    out = set()
    for c in range(0x2000, 0x10000):
        if 0xD800 <= c <= 0xF8FF:
            continue
        for codec in codecs:
            try:
                code = chr(c).encode(codec)
            except UnicodeEncodeError:
                continue
            if len(code) <= 2 and (codec != "big5" or code < b"\xc9"):
                out.add(c)
                break
    return out


KEEP = {
    # Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic with its presentation forms, Georgian, punctuation, currencies.
    "letters": ranges((0x20, 0x52F), (0x531, 0x58F), (0x590, 0x6FF), (0x10A0, 0x10FF), (0x1E00, 0x1FFF), (0x2010, 0x205E),
                      (0x2070, 0x209C), (0x20A0, 0x20BF), (0x2100, 0x214F), (0x2190, 0x2199), (0x2200, 0x2265), (0xFB1D, 0xFDFF),
                      (0xFE70, 0xFEFF), (0xFFFD, 0xFFFD)),
    "thai": ranges((0xE00, 0xE7F)),
    # Japanese (JIS X 0208), simplified and traditional Chinese (GB 2312, Big5), Korean (all syllables).
    "cjk": encodable("shift_jis", "gb2312", "big5", "euc_kr") | ranges((0x3000, 0x30FF), (0xFF00, 0xFFEF)),
}


def main():
    for (name, keep), source in zip(KEEP.items(), sys.argv[1:], strict=True):
        options = subset.Options(hinting=False, layout_features=[], notdef_outline=True, name_IDs=[0, 1, 2, 13, 14], drop_tables=
                                 ["GSUB", "GPOS", "GDEF", "kern", "DSIG", "vhea", "vmtx", "FFTM", "gasp", "meta", "STAT", "fpgm", "prep", "cvt "])
        font = subset.load_font(source, options)
        s = subset.Subsetter(options)
        s.populate(unicodes=keep)
        s.subset(font)
        font.save(f"{name}.ttf", reorderTables=True)
        data = open(f"{name}.ttf", "rb").read()
        with open(f"{name}.ttf.gz", "wb") as f, gzip.GzipFile(filename="", fileobj=f, mode="wb", compresslevel=9, mtime=0) as z:
            z.write(data)
        print(name, len(font.getBestCmap()), "characters", len(data), "bytes")


main()
