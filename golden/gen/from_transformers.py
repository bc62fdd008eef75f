"""Runs the Python of docs/FROM_TRANSFORMERS.md and holds it to what the page says that it prints and raises.

    python golden/gen/from_transformers.py

Downloads are answered with the demo's pictures, so that it needs no network. A comment "# Error: text" is the error that
its block raises; without torchao the block that needs it is left out. The test of cmd/pgc runs the shell blocks.
"""

import contextlib
import io
import os
import pathlib
import re
import shutil
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "models" / "paligemma" / "demo"


def offline():
    """Answers every download with the picture of that name."""
    from huggingface_hub.utils import httpx

    class Answer:
        def __init__(self, url):
            name = "cow.png" if "cow" in url else "cat.png"
            self.content = pathlib.Path(name).read_bytes()

        def raise_for_status(self):
            return self
    httpx.get = lambda url, *_, **__: Answer(url)


def main():
    page = (ROOT / "docs" / "FROM_TRANSFORMERS.md").read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.M | re.S)
    os.chdir(tempfile.mkdtemp())
    os.symlink(DEMO / "paligemma2-demo", "paligemma2-3b-mix-224")
    shutil.copy(DEMO / "pictures" / "05-purple.png", "cat.png")
    shutil.copy(DEMO / "pictures" / "02-orange.png", "cow.png")
    offline()
    space, failed = {}, 0
    for i, (kind, code) in enumerate(blocks):
        if kind != "python":
            continue
        want = next((text for k, text in blocks[i + 1:] if k in ("python", "text")), "")
        wanted_text = want if next((k for k, _ in blocks[i + 1:] if k in ("python", "text")), "") == "text" else ""
        error = re.search(r"# (\w+Error): (.*)$", code, re.M)
        printed = io.StringIO()
        got = None
        try:
            with contextlib.redirect_stdout(printed):
                exec(code, space)
        except Exception as e:
            got = f"{type(e).__name__}: {e}"
        if "TorchAoConfig" in code and "requires torchao" in str(got):
            print(f"left out, for want of torchao: {code.splitlines()[-1]}")
            continue
        if error:
            ok = got is not None and got.startswith(f"{error[1]}: {error[2]}")
        elif "# prints" in code:
            ok = got is None
        else:
            ok = got is None and printed.getvalue() == wanted_text
        failed += not ok
        print("ok  " if ok else "FAIL", code.strip().splitlines()[-1][:100], *([] if ok else [got, repr(printed.getvalue()), "wanted", repr(wanted_text)]))
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
