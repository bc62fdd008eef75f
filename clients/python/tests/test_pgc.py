"""The package against a real executable."""

import json
import logging
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import PIL.Image
import pytest

import pgc

CAPTION = "two horses and an airplane on a purple background"


def test_tasks(model, picture, executable):
    answer = model.caption(picture)
    assert answer == answer.text == str(answer) == CAPTION
    assert answer.finish_reason == "stop" and answer.logprobs is None and answer.prompt_tokens > 100
    assert model.ask(picture, "how many horses are there?") == "two"
    assert model.ocr(picture) == "TEAM"
    assert model.generate(picture, "caption en") == CAPTION
    assert model.generate([picture, picture], "caption en").prompt_tokens > answer.prompt_tokens + 90
    short = model.caption(picture, max_new_tokens=2, logprobs=True)
    assert short.finish_reason == "length" and len(short.tokens) == len(short.logprobs) == 2
    alone = json.loads(subprocess.check_output([executable, "generate", "--json", "--logprobs", "--max-new-tokens", "2", "--image", picture, "--prompt", "caption en"]))
    assert (short.tokens, short.logprobs) == (alone["tokens"], alone["logprobs"])
    assert model.caption(picture, stop=" and") == model.caption(picture, stop=[" and"]) == "two horses"


def test_detect(model, picture, executable):
    found = model.detect(picture, ["horse", "airplane"], min_score=0.5)
    assert [b.label for b in found] == ["horse", "horse", "airplane"] and len(found) == 3 and found[0] == next(iter(found))
    alone = json.loads(subprocess.check_output([executable, "detect", "--format", "json", picture, "horse ; airplane"]))
    assert [list(b.xyxy) for b in found] == [b["box"] for b in alone["boxes"]]
    assert [b.score for b in found] == [b["score"] for b in alone["boxes"]]
    sv = found.to_supervision()
    assert sv.xyxy.tolist() == [list(b.xyxy) for b in found] and sv.confidence.tolist() == [b.score for b in found]
    assert sv.class_id.tolist() == [0, 0, 1] and list(sv["class_name"]) == ["horse", "horse", "airplane"] and sv.mask is None
    nothing = model.detect(picture, "submarine")
    assert len(nothing.to_supervision()) == len(nothing) == 0


def test_segment(model, picture):
    found = model.segment(picture, ["horse"])
    assert found.classes == ["horse"] and (found.width, found.height) == PIL.Image.open(picture).size
    assert len(found) == 2
    for b, raw in zip(found, found.raw["boxes"]):
        mask = b.mask.numpy()
        assert mask.shape == (found.height, found.width) and 100 < mask.sum() == raw["area"] < mask.size / 4
    assert found.to_supervision().mask.sum() == sum(raw["area"] for raw in found.raw["boxes"])


def test_masks():
    """Run lengths as pycocotools writes them: of a mask of 4 rows and 5 columns."""
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:4] = True
    mask[3, 4] = True
    box = {"label": "x", "score": 0.5, "box": [1, 1, 4, 3], "mask": {"size": [4, 5], "counts": "52203O21"}}
    found = pgc.Detections({"boxes": [box], "classes": ["x"], "text": "", "width": 5, "height": 4})
    runs, column = [], 0
    for value in [0, 1] * 5:
        n = 0
        flat = mask.T.ravel()
        while column < 20 and flat[column] == value:
            n, column = n + 1, column + 1
        runs.append(n)
    while runs and runs[-1] == 0:
        runs.pop()
    m = pgc.Mask(4, 5, _coco(runs))
    assert m.runs() == runs and (m.numpy() == mask).all()
    found = pgc.Detections({**found.raw, "boxes": [{**box, "mask": {"size": [4, 5], "counts": _coco(runs)}}]})
    assert (found.to_supervision().mask == mask[None]).all()


def _coco(runs):
    """COCO's letters for run lengths."""
    out = ""
    for i, n in enumerate(runs):
        n -= runs[i - 2] if i > 2 else 0
        more = True
        while more:
            c = n & 0x1F
            n >>= 5
            more = n != (-1 if c & 0x10 else 0)
            out += chr((c | 0x20 if more else c) + 48)
    return out


def test_pictures(model, picture):
    """Every form of a picture has the answer of its file."""
    image = PIL.Image.open(picture)
    rgb = image.convert("RGB")
    array = np.asarray(rgb)
    with open(picture, "rb") as f:
        data = f.read()
    want = model.caption(picture, logprobs=True)
    for form in (pathlib.Path(picture), data, bytearray(data), memoryview(data), image, rgb, array, np.asarray(rgb.convert("RGBA")), np.asfortranarray(array), rgb.convert("RGBA"), os.path.relpath(picture)):
        got = model.caption(form, logprobs=True)
        assert (got, got.logprobs) == (want, want.logprobs), type(form)
    gray = np.asarray(rgb.convert("L"))
    want = model.caption(rgb.convert("L"))
    assert want == model.caption(gray) == model.caption(gray[:, :, None])
    for mode in ("1", "LA", "P", "CMYK", "I;16", "F", "HSV"):
        model.caption(rgb.convert("L").convert(mode) if mode in ("I;16", "F") else rgb.convert(mode))
    turned = PIL.Image.open(picture).convert("RGB")
    exif = PIL.Image.Exif()
    exif[0x0112] = 3
    turned.info["exif"] = exif.tobytes()
    upright = model.caption(rgb.rotate(180), logprobs=True).logprobs
    import io

    out = io.BytesIO()
    rgb.save(out, "PNG", exif=exif)
    assert model.caption(PIL.Image.open(io.BytesIO(out.getvalue())), logprobs=True).logprobs == upright == model.caption(out.getvalue(), logprobs=True).logprobs
    for wrong, error in ((array.astype(float), TypeError), (array[..., :2], ValueError), (None, ValueError), (7, TypeError), (array[:0], ValueError)):
        with pytest.raises(error):
            model.caption(wrong)


def test_large_picture(model, tmp_path, monkeypatch):
    """Pixels too many for a data: URI go through a file, which is gone afterwards."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model.caption(np.zeros((4000, 4000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_errors(model, picture, tmp_path):
    with pytest.raises(pgc.RequestError, match="no such file"):
        model.caption("none.png")
    with pytest.raises(pgc.RequestError, match="temperature is -1"):
        model.caption(picture, temperature=-1)
    with pytest.raises(pgc.RequestError, match="unknown field"):
        model.caption(picture, nonsense=1)
    with pytest.raises(pgc.Error, match="makes texts"):
        model.embed(picture)
    assert model.ocr(picture) == "TEAM"  # none of them matters to others
    with pytest.raises(FileNotFoundError, match="expected one that pgc compile made"):
        pgc.Model(tmp_path / "none")
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho hello >&2\n")
    with pytest.raises(pgc.WorkerError, match="cannot start"):
        pgc.Model(script)
    script.chmod(0o755)
    with pytest.raises(pgc.WorkerError, match="no executable that pgc compile made: hello"):
        pgc.Model(script)
    with pgc.Model(model.path, device="none") as m, pytest.raises(pgc.WorkerError, match="status 2 twice.*none"):
        m.caption(picture)
    with pgc.Model(model.path) as m:
        m.ocr(picture)
    with pytest.raises(pgc.WorkerError, match="closed"):
        m.ocr(picture)


def test_restarts(model, picture, caplog):
    """The executable is killed while many threads ask, again and again: every one gets its answer."""
    wrong, killed = [], threading.Event()

    def ask(n):
        asked = 0
        while asked < 20 or not killed.is_set():
            asked += 1
            try:
                if model.caption(picture) != CAPTION:
                    wrong.append(n)
            except pgc.WorkerError:  # two kills may meet the same request
                gone.append(n)

    gone = []
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    model.caption(picture)
    for t in threads:
        t.start()
    pids = set()
    end = time.monotonic() + 120
    while len(pids) < 3 and time.monotonic() < end:
        pid = model.pid
        if pid is not None and pid not in pids:
            pids.add(pid)
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)
    killed.set()
    for t in threads:
        t.join(120)
        assert not t.is_alive()
    assert len(pids) == 3 and not wrong and len(gone) < 20, (pids, wrong, gone)
    assert model.caption(picture) == CAPTION


def test_poison(picture, executable, tmp_path):
    """A request that kills its process is an error of its own; those beside it are answered."""
    script = tmp_path / "fragile"
    script.write_text(f"""#!{sys.executable}
import os, subprocess, sys, threading
if "info" in sys.argv:
    os.execv({executable!r}, sys.argv)
child = subprocess.Popen([{executable!r}, *sys.argv[1:]], stdin=subprocess.PIPE)
for line in sys.stdin.buffer:
    if b"poison" in line:
        child.kill()
        print("fragile: it hurts", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 9)
    child.stdin.write(line)
    child.stdin.flush()
child.stdin.close()
sys.exit(child.wait())
""")
    script.chmod(0o755)
    with pgc.Model(script) as m:
        asked = ["caption en", "ocr", "poison", "caption en", "ocr"] * 2
        futures = [m.submit(pgc.Request(picture, p)) for p in asked]
        for p, f in zip(asked, futures):
            if p == "poison":
                with pytest.raises(pgc.WorkerError, match="signal 9 twice while it worked on this request: fragile: it hurts"):
                    f.result(60)
            else:
                assert f.result(60) == {"caption en": CAPTION, "ocr": "TEAM"}[p]


def test_settings(model, picture, executable):
    """Settings may be numpy's; one that cannot be sent is an error of its request alone, also when the process dies."""
    want = model.caption(picture, seed=3, temperature=0.5, stop=[" on"])
    assert model.caption(picture, seed=np.int64(3), temperature=np.float32(0.5), stop=np.array([" on"])) == want
    with pgc.Model(executable) as m:
        m.ocr(picture)
        with pytest.raises(TypeError, match="a setting is a set, expected a number"):
            m.caption(picture, seed={3})
        with pytest.raises(ValueError, match="expected finite numbers"):
            m.caption(picture, temperature=float("nan"))
        futures = [m.submit(pgc.Request(picture, "caption en", settings={"id": 99})) for _ in range(20)]
        os.kill(m.pid, signal.SIGKILL)
        assert {f.result(60) for f in futures} == {CAPTION}


def test_no_answer(picture, executable, tmp_path):
    """A script around the executable that writes something else is an error, not a wait without end."""
    script = tmp_path / "talks"
    script.write_text(f"""#!/bin/sh
[ "$1" = info ] || echo welcome
{executable} "$@"
""")
    script.chmod(0o755)
    with pgc.Model(script) as m:
        with pytest.raises(pgc.WorkerError, match="twice while it worked on this request: it wrote a line that is no answer: b'welcome"):
            m.submit(pgc.Request(picture, "ocr")).result(60)


def test_fork(picture, executable):
    """A forked process holds nothing of the model's process, which ends at once, and has one of its own."""
    m = pgc.Model(executable)
    under_way = [m.submit(pgc.Request(picture, "caption en")) for _ in range(20)]
    pid = m.pid
    child = os.fork()
    if child == 0:
        own = m.pid is None and m.ocr(picture) == "TEAM" and m.pid != pid
        m.close()
        signal.pause() if own else os._exit(1)
    try:
        assert {f.result(60) for f in under_way} == {CAPTION} and m.pid == pid
        begun = time.monotonic()
        m.close()
        assert time.monotonic() - begun < 4
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_batch(model, picture):
    good, bad = pgc.Request(picture, id="good"), pgc.Request("none.png", id="bad")
    got = list(model.batch([good, bad, picture], "ocr", errors="return"))
    assert got[0] == got[2] == "TEAM" and isinstance(got[1], pgc.RequestError) and (got[0].id, got[1].id) == ("good", "bad")
    with pytest.raises(pgc.RequestError):
        list(model.batch([bad], "ocr"))
    mixed = [pgc.Request(picture, task="detect", classes=["horse"]), pgc.Request(picture, "ocr"), pgc.Request(picture, task="ask", prompt="how many horses are there?")]
    found, text, answer = model.batch(mixed)
    assert len(found) == 2 and (text, answer) == ("TEAM", "two")
    reads = 0

    def source():
        nonlocal reads
        for i in range(200):
            reads += 1
            yield pgc.Request(picture, "ocr", id=i)

    first = next(iter(model.batch(source(), ahead=16)))
    assert first.id == 0 and reads <= 16
    unordered = list(model.batch((pgc.Request(picture, "ocr", id=i) for i in range(50)), ordered=False))
    assert sorted(r.id for r in unordered) == list(range(50)) and set(unordered) == {"TEAM"}
    assert list(model.batch([picture] * 3, "ocr", ordered=False, ahead=1)) == ["TEAM"] * 3
    for ordered in (True, False):
        with pytest.raises(ValueError, match="ahead is 0, expected 1 or more"):
            list(model.batch([picture], "ocr", ordered=ordered, ahead=0))
    assert [type(r) for r in model.batch([picture, None, 7], "ocr", errors="return")] == [pgc.Answer, pgc.RequestError, pgc.RequestError]


def test_parquet(model, picture, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open(picture, "rb") as f:
        data = f.read()
    table = pa.table({"image": [{"bytes": data, "path": "x"}, {"bytes": None, "path": picture}] * 3, "file": [picture] * 6, "prompt": ["ocr", "caption en"] * 3, "key": list("abcdef")})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    got = list(model.batch(pgc.parquet(tmp_path / "t.parquet", prompt="prompt", id="key", rows=4)))
    assert got == ["TEAM", CAPTION] * 3 and [r.id for r in got] == list("abcdef")
    got = list(model.batch(pgc.parquet(tmp_path, image="file"), "ocr"))
    assert got == ["TEAM"] * 6 and [r.id for r in got] == list(range(6))
    with pytest.raises(pgc.Error, match="no column 'none', expected one of image"):
        next(pgc.parquet(tmp_path / "t.parquet", image="none"))


def test_embed(pages, picture):
    with pgc.Model(pages) as m:
        page, query = m.embed(picture), m.embed(query="two dogs")
        assert page.numpy().shape == page.shape and page.tolist()[0] == page.numpy()[0].tolist()
        np.testing.assert_allclose((page.numpy() ** 2).sum(axis=1), 1, rtol=1e-5)
        ranked = json.loads(subprocess.check_output([pages, "rank", "--json", "--query", "two dogs", picture]))
        assert abs(query.score(page) - ranked["images"][0]["score"]) < 1e-5
        assert pickle.loads(pickle.dumps(page)).data == page.data
        with pytest.raises(pgc.Error, match="makes embeddings"):
            m.caption(picture)
        with pytest.raises(ValueError):
            m.embed()


def test_life(executable, picture, caplog):
    """The process ends with the model, with the program, and not with Ctrl-C; a model can be pickled and forked."""
    m = pgc.Model(executable)
    assert m.pid is None
    m.ocr(picture)
    pid = m.pid
    again = pickle.loads(pickle.dumps(m))
    assert again.ocr(picture) == "TEAM" and again.pid != pid
    answer = m.ocr(picture)
    assert pickle.loads(pickle.dumps(answer)).tokens == answer.tokens
    again.close()
    assert os.getpgid(pid) != os.getpgid(0)
    child = os.fork()
    if child == 0:
        os._exit(0 if m.ocr(picture) == "TEAM" and m.pid != pid else 1)
    assert os.waitpid(child, 0)[1] == 0
    del m
    _gone(pid)
    text = f"import pgc, sys; m = pgc.Model({executable!r}); m.ocr({picture!r}); print(m.pid, flush=True); sys.stdin.read()"
    for kill in (False, True):
        program = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        pid = int(program.stdout.readline())
        program.kill() if kill else program.stdin.close()
        program.wait(20)
        _gone(pid)


def _gone(pid):
    for _ in range(200):
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    raise AssertionError(f"the process {pid} still runs")


def test_warnings(model, picture, caplog):
    with caplog.at_level(logging.WARNING, "pgc"):
        model.caption(picture, max_new_tokens=1)
        for _ in range(100):
            if any("cut at 1 token" in r.getMessage() for r in caplog.records):
                return
            time.sleep(0.05)
    raise AssertionError(caplog.text)


def test_compile(tmp_path, monkeypatch, picture):
    checkpoint = pathlib.Path(__file__).parents[3] / "models/paligemma/demo/paligemma-demo"
    with pytest.raises(pgc.Error, match="no pgc-none in the PATH"):
        pgc.compile(checkpoint, tmp_path / "x", pgc="pgc-none")
    monkeypatch.setenv("PATH", os.environ["PGC_BIN"] + os.pathsep + os.environ["PATH"])
    with pgc.compile(checkpoint, tmp_path / "x", cpu="native", weights="int8", max_tokens=300) as m:
        assert m.info["weights"].startswith("int8") and m.caption(picture)
    with pytest.raises(pgc.Error, match="config.json"):
        pgc.compile(tmp_path, tmp_path / "y")
