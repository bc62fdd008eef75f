"""What the tokenizers library and transformers' PaliGemmaProcessor answer, as the tests read it."""

import base64

from PIL import Image


def encoding(library, text):
    """{text or raw, ids, plain, decoded, skipped}: ids with special tokens parsed, plain with them as text, ids decoded with
    and without special tokens. raw, in base64, is decoded with errors="replace" first. Left out are plain if it is ids,
    decoded if it is the text, skipped if it is decoded.
    """
    if isinstance(text, bytes):
        case, text = {"raw": base64.b64encode(text).decode()}, text.decode(errors="replace")
    else:
        case = {"text": text}
    library.encode_special_tokens = True
    plain = library.encode(text, add_special_tokens=False).ids
    library.encode_special_tokens = False
    case["ids"] = ids = library.encode(text, add_special_tokens=False).ids
    if plain != ids:
        case["plain"] = plain
    return case | decoding(library, ids, text)


def decoding(library, ids, text=None):
    decoded, skipped = library.decode(ids, skip_special_tokens=False), library.decode(ids, skip_special_tokens=True)
    case = {} if decoded == text else {"decoded": decoded}
    return case if skipped == decoded else case | {"skipped": skipped}


def layout(processor, prompt, suffix, images):
    """{prompt, suffix, images, input_ids, token_type_ids, labels} of PaliGemmaProcessor."""
    r = processor(images=[[Image.new("RGB", (28, 28))] * images], text=[prompt], suffix=None if suffix is None else [suffix])
    return {"prompt": prompt, "suffix": suffix, "images": images} | {k: list(map(int, r[k][0])) for k in ("input_ids", "token_type_ids", "labels")}
