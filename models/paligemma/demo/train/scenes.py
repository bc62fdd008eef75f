"""Scenes of pictograms and text, made from a seed: the pictures, and the exact answers to every task.

A scene holds one to four pictograms (24 classes of the Noto Color Emoji font) that may overlap, on a plain or
textured background of a named colour, and in two of three scenes a word or a random string. `Style` says which
fonts and textures may appear, so that training and held-out scenes share nothing but the pictograms.
Coordinates are fractions of the picture's sides.
"""

import random
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

EMOJI_FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
FONTS = "/usr/share/fonts/truetype/"

CLASSES = [  # (singular, plural, pictogram)
    ("cat", "cats", "🐈"), ("dog", "dogs", "🐕"), ("horse", "horses", "🐎"), ("elephant", "elephants", "🐘"),
    ("fish", "fish", "🐟"), ("bird", "birds", "🐦"), ("butterfly", "butterflies", "🦋"), ("car", "cars", "🚗"),
    ("bus", "buses", "🚌"), ("bicycle", "bicycles", "🚲"), ("boat", "boats", "⛵"), ("airplane", "airplanes", "✈"),
    ("tree", "trees", "🌳"), ("sunflower", "sunflowers", "🌻"), ("apple", "apples", "🍎"), ("banana", "bananas", "🍌"),
    ("pizza", "pizzas", "🍕"), ("cup", "cups", "☕"), ("umbrella", "umbrellas", "☔"), ("guitar", "guitars", "🎸"),
    ("ball", "balls", "⚽"), ("house", "houses", "🏠"), ("key", "keys", "🔑"), ("clock", "clocks", "⏰"),
]
COLOURS = {
    "red": (214, 64, 58), "orange": (242, 150, 52), "yellow": (246, 222, 92), "green": (96, 176, 92),
    "blue": (82, 128, 214), "purple": (150, 98, 190), "pink": (244, 168, 190), "brown": (150, 108, 74),
    "grey": (152, 152, 152), "white": (246, 246, 244),
}
WORDS = """STOP EXIT OPEN SALE TAXI CAFE BANK PARK HOTEL PIZZA MUSIC POLICE SCHOOL MARKET BAKERY MUSEUM TICKET COFFEE
FRESH MILK BREAD WATER LIGHT NORTH SOUTH EAST WEST ENTER CLOSED PUSH PULL SLOW FAST LEFT RIGHT DANGER GARDEN BEACH
RIVER STREET BRIDGE TOWER CASTLE FOREST WINTER SUMMER SPRING SUNDAY MONDAY FRIDAY RADIO VIDEO PHOTO PAPER BOOKS
TRAIN METRO FERRY GATE ROOM FLOOR DOOR KEYS CASH FREE SOLD NEW HOT COLD TEA SOUP FISH FRUIT APPLE LEMON SUGAR SALT
SPORT GAME PLAY WIN TEAM GOLD SILVER BLUE GREEN RED BLACK WHITE HELLO THANKS PLEASE WELCOME""".split()
CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ23456789"  # no 0 and 1: they look like O and I
TURN = 14  # degrees by which a pictogram is turned at most
NUMBERS = ["no", "one", "two", "three", "four"]


@dataclass(frozen=True)
class Style:
    """What a family of scenes may use."""
    fonts: tuple
    textures: tuple
    sides: tuple  # (least, greatest) pixels of a side of the picture


TRAIN = Style(
    fonts=("dejavu/DejaVuSans-Bold.ttf", "dejavu/DejaVuSans.ttf", "dejavu/DejaVuSansMono-Bold.ttf",
           "noto/NotoSans-Bold.ttf", "noto/NotoSans-Regular.ttf",
           "roboto/unhinted/RobotoTTF/Roboto-Bold.ttf", "roboto/unhinted/RobotoTTF/Roboto-Medium.ttf",
           "roboto/unhinted/RobotoCondensed-Bold.ttf", "noto/NotoSerif-Bold.ttf"),
    textures=("plain", "gradient", "noise", "blotches"),
    sides=(140, 280),
)


@dataclass
class Item:
    """One pictogram: class index, its box (x0, y0, x1, y1) in fractions of the picture, whether it is flipped, by how
    many degrees it is turned, and its mask in the box's pixels [h, w] (see shape). The mask is whole, also where another
    pictogram lies on top."""
    cls: int
    box: tuple
    flip: bool
    angle: float
    mask: np.ndarray


@dataclass
class Scene:
    image: Image.Image
    items: list
    colour: str
    text: str = ""
    listed: bool = False
    chars: list = field(default_factory=list)  # (character, centre x, centre y) in fractions


@lru_cache(maxsize=None)
def glyph(text):
    """The pictogram as an RGBA image cropped to its ink."""
    font = ImageFont.truetype(EMOJI_FONT, 109)
    image = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(image).text((12, 12), text, font=font, embedded_color=True)
    return image.crop(image.getbbox())


def stamp(cls, side, flip, angle):
    """The pictogram of a class whose longer side before it is rotated by angle degrees measures `side` pixels,
    cropped to its ink."""
    image = glyph(CLASSES[cls][2])
    scale = side / max(image.size)
    if flip:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    image = image.rotate(angle, Image.BICUBIC, expand=True)
    image = image.resize((max(4, int(image.width * scale)), max(4, int(image.height * scale))), Image.LANCZOS)
    return image.crop(image.getchannel("A").point(lambda a: 255 if a > 40 else 0).getbbox())


def shape(image):
    """The mask [h, w] of a pictogram: True where its alpha is at least half."""
    return np.asarray(image.getchannel("A")) >= 128


@lru_cache(maxsize=512)
def word_font(path, size):
    return ImageFont.truetype(FONTS + path, size)


def shade(rgb, amount):
    """rgb made lighter (amount > 0) or darker (< 0)."""
    return tuple(int(min(255, max(0, c + amount))) for c in rgb)


def background(rng, rgb, size, texture):
    """A picture of one named colour with a texture that keeps the colour's name."""
    w, h = size
    nrng = np.random.default_rng(rng.getrandbits(32))
    base = np.tile(np.array(shade(rgb, rng.randint(-14, 14)), np.float32), (h, w, 1))
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
    if texture == "gradient":
        ramp = (yy / h if rng.random() < .5 else xx / w) - .5
        base += (ramp * rng.choice([-50, 50]))[..., None]
    elif texture == "noise":
        base += nrng.normal(0, rng.uniform(4, 14), (h, w, 1)).astype(np.float32)
    elif texture == "blotches":
        small = nrng.normal(0, 14, (6, 6)).astype(np.float32)
        base += np.asarray(Image.fromarray(small).resize((w, h), Image.BICUBIC))[..., None]
    elif texture == "diagonal":
        base += (((xx / w + yy / h) / 2 - .5) * rng.choice([-50, 50]))[..., None]
    elif texture == "stripes":
        period = rng.uniform(.12, .3)
        base += (np.sin(2 * np.pi * (xx / w * rng.choice([1, 0]) + yy / h) / period) * 9)[..., None]
    elif texture == "radial":
        base += ((np.hypot(xx / w - .5, yy / h - .5) - .35) * -50)[..., None]
    return Image.fromarray(np.clip(base, 0, 255).astype(np.uint8))


def overlap(a, b):
    """The share of the smaller box that the other one covers."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def place(rng, w, h, taken, limit):
    """A place for a w×h box whose overlap with every taken box is at most limit, or None."""
    for _ in range(30):
        x, y = rng.uniform(.01, max(.011, .99 - w)), rng.uniform(.01, max(.011, .99 - h))
        box = (x, y, x + w, y + h)
        if box[2] <= 1 and box[3] <= 1 and all(overlap(box, t) <= limit for t in taken):
            return box
    return None


def add_text(rng, image, scene, style, taken):
    """Writes a word or a random string and records where each character stands."""
    w, h = image.size
    listed = rng.random() < .5
    text = rng.choice(WORDS) if listed else "".join(rng.choice(CHARS) for _ in range(rng.randint(1, 4)))
    font_path = rng.choice(style.fonts)
    size = int(min(w, h) * rng.uniform(.13, .2))
    while size > 8 and word_font(font_path, size).getlength(text) > .92 * w:
        size -= 1
    font = word_font(font_path, size)
    left, top, right, bottom = font.getbbox(text)
    pad = size * .18
    box = place(rng, (right - left + 2 * pad) / w, (bottom - top + 2 * pad) / h, taken, 0)
    if box is None:
        return
    x, y = box[0] * w + pad - left, box[1] * h + pad - top
    draw = ImageDraw.Draw(image)
    dark = rng.random() < .5
    ink = shade((30, 30, 40), rng.randint(-20, 30)) if dark else shade((248, 248, 245), rng.randint(-20, 5))
    plate = rng.random() < .6 or sum(image.getpixel((int(x + 1), int(y + top)))) / 3 < (140 if dark else 999) \
        or (not dark and sum(image.getpixel((int(x + 1), int(y + top)))) / 3 > 120)
    if plate:
        fill = shade((245, 245, 240), rng.randint(-30, 8)) if dark else rng.choice(
            [(30, 60, 130), (20, 90, 60), (140, 30, 30), (40, 40, 45), (90, 40, 110)])
        draw.rounded_rectangle([box[0] * w, box[1] * h, box[2] * w, box[3] * h], radius=size * .15, fill=fill)
    draw.text((x, y), text, font=font, fill=ink)
    scene.text, scene.listed = text, listed
    for i, c in enumerate(text):
        middle = x + font.getlength(text[:i]) + font.getlength(c) / 2
        scene.chars.append((c, middle / w, (y + (top + bottom) / 2) / h))
    taken.append(box)


def make(seed, style=TRAIN):
    """The scene of a seed."""
    rng = random.Random(seed)
    w = rng.randint(*style.sides)
    h = w if rng.random() < .6 else rng.randint(*style.sides)
    h = min(max(h, int(w * .7)), int(w * 1.4))
    colour = rng.choice(list(COLOURS))
    image = background(rng, COLOURS[colour], (w, h), rng.choice(style.textures))
    scene = Scene(image, [], colour)
    taken = []
    if rng.random() < .66:
        add_text(rng, image, scene, style, taken)
    text_box = list(taken)
    count = rng.choice([1, 2, 2, 3, 3, 4])
    classes = [rng.randrange(len(CLASSES)) for _ in range(count)]
    if count > 1 and rng.random() < .4:
        classes[1] = classes[0]
    if count > 2 and rng.random() < .25:
        classes[2] = classes[0]
    boxes = []
    for cls in classes:
        side = min(w, h) * rng.uniform(.2, .42 if count < 4 else .34)
        flip, angle = rng.random() < .5, rng.uniform(-TURN, TURN)
        pictogram = stamp(cls, side, flip, angle)
        fw, fh = pictogram.width / w, pictogram.height / h
        for _ in range(4):
            box = place(rng, fw, fh, boxes, .22)
            if box and all(overlap(box, t) == 0 for t in text_box):
                break
        else:
            box = place(rng, fw, fh, boxes + text_box, 0)
        if box is None:
            continue
        x, y = int(box[0] * w), int(box[1] * h)
        image.paste(pictogram, (x, y), pictogram)
        box = (x / w, y / h, (x + pictogram.width) / w, (y + pictogram.height) / h)
        boxes.append(box)
        scene.items.append(Item(cls, box, flip, angle, shape(pictogram)))
    return scene
