"""Writes cases.json: what the tokenizers library (0.22) makes of mixed text, with the demo checkpoint's tokenizer.

    python gen.py ../../../models/paligemma/demo/train     (the folder with tokenizer.py)
"""
import json
import random
import sys

sys.path.insert(0, sys.argv[1])
from tokenizers import Tokenizer  # noqa: E402

import tokenizer  # noqa: E402

text = tokenizer.build()
open("tokenizer.json", "w").write(text)
codes = Tokenizer.from_str(text)
rng = random.Random(5)
words = ["caption en", "detect cat ; dog", "two butterflies and an elephant", "\n", "\n\n", "  ", "   ", "é", "猫", "🐈", "<loc0001>",
         "<loc1023> cat", "<seg007>", "<eos>", "<image>", "<bos>", "\t", "\x00", "a", "ZQ9", "umbrella", "▁", "<loc", "<0x41>", "\u200d", "ß"]
cases = []
for i in range(400):
    line = "".join(rng.choice(words) + rng.choice(["", " ", ""]) for _ in range(rng.randint(0, 8)))
    ids = codes.encode(line, add_special_tokens=False).ids
    cases.append({"text": line, "ids": ids, "decoded": codes.decode(ids, skip_special_tokens=False),
                  "skipped": codes.decode(ids, skip_special_tokens=True)})
json.dump(cases, open("cases.json", "w"), ensure_ascii=True, indent=0)
