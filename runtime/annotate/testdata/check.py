"""Reads the files beside this one with the programs that they are for: python check.py [DIR]

Needs pycocotools, supervision, labelme and label-studio-sdk (requirements.txt). DIR, by default this folder, has boxes/ and
masks/, and each of them what `go test ./runtime/annotate -update` writes: pictures, out.json, coco.json, yolo/, labelme/,
labelstudio.json. What every reader finds is compared with out.json.
"""

import contextlib
import copy
import json
import logging
import os
import pathlib
import sys
import tempfile
from xml.sax.saxutils import quoteattr

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import supervision as sv
from label_studio_sdk.converter import Converter
from labelme._label_file import LabelFile
from loguru import logger
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def quiet():
    return contextlib.redirect_stdout(open(os.devnull, "w"))


def decoded(box):
    return coco_mask.decode({"size": box["mask"]["size"], "counts": box["mask"]["counts"].encode()}).astype(bool)


def coco(folder, lines, kind):
    with quiet():
        truth = COCO(folder / "coco.json")
        # A mask without a pixel is read, but overlaps nothing, itself included.
        seen = COCO()
        seen.dataset = dict(truth.dataset, annotations=[a for a in truth.dataset["annotations"] if a["area"]])
        seen.createIndex()
        score = COCOeval(seen, seen.loadRes(copy.deepcopy(seen.dataset["annotations"])), kind)
        score.evaluate(), score.accumulate(), score.summarize()
    assert score.stats[0] > 0.999, score.stats
    for image, line in zip(truth.dataset["images"], lines, strict=True):
        own = truth.loadAnns(truth.getAnnIds(imgIds=image["id"]))
        assert len(own) == len(line["boxes"])
        for a, b in zip(own, line["boxes"]):
            x0, y0, x1, y1 = b["box"]
            assert np.allclose(a["bbox"], [x0, y0, x1 - x0, y1 - y0])
            assert truth.loadCats(a["category_id"])[0]["name"] == b["label"] and a["score"] == b["score"]
            if "mask" in b:
                assert (truth.annToMask(a) == decoded(b)).all() and a["area"] == decoded(b).sum() == b["area"]
    return f"AP {score.stats[0]:.3f} of itself"


def detections(data, lines, masks, names):
    for line in lines:
        d = next(d for path, _, d in data if pathlib.Path(path).name == line["image"])
        assert len(d) == len(line["boxes"]), (line["image"], len(d))
        for i, b in enumerate(line["boxes"]):
            assert names[d.class_id[i]] == b["label"], b
            if masks:
                whole = decoded(b)
                # Polygons have no holes, and rasterizers differ along edges.
                if not whole.any():
                    assert not d.mask[i].any(), b["label"]
                    continue
                iou = (whole & d.mask[i]).sum() / (whole | d.mask[i]).sum()
                assert iou > masks, (b["label"], iou)
            else:
                assert np.abs(d.xyxy[i] - b["box"]).max() < 1e-2, (d.xyxy[i], b["box"])


def supervision(folder, lines, masks):
    data = sv.DetectionDataset.from_coco(str(folder), str(folder / "coco.json"), force_masks=masks)
    detections(data, lines, masks and 0.9999, data.classes)
    with tempfile.TemporaryDirectory() as images:
        for line in lines:
            os.symlink(folder.absolute() / line["image"], pathlib.Path(images) / line["image"])
        data = sv.DetectionDataset.from_yolo(images, str(folder / "yolo/labels"), str(folder / "yolo/data.yaml"), force_masks=masks)
        if not masks:
            detections(data, lines, 0, data.classes)
        else:
            assert sum(len(d) for _, _, d in data) >= sum(len(line["boxes"]) for line in lines)
    return f"{len(data)} pictures, classes {data.classes}"


def labelme(folder, lines):
    shapes = 0
    for line in lines:
        f = LabelFile(str(folder / "labelme" / (pathlib.Path(line["image"]).stem + ".json")))
        assert f.image_data, f
        labels = [s["label"] for s in f.shapes]
        assert list(dict.fromkeys(labels)) == list(dict.fromkeys(b["label"] for b in line["boxes"]))
        for s, b in zip(f.shapes, line["boxes"]):
            if s["shape_type"] == "rectangle":
                assert np.allclose(np.ravel(s["points"]), b["box"])
        shapes += len(f.shapes)
    return f"{shapes} shapes"


def labelstudio(folder, lines, masks):
    tag = "PolygonLabels" if masks else "RectangleLabels"
    classes = dict.fromkeys(b["label"] for line in lines for b in line["boxes"])
    labels = "".join(f"<Label value={quoteattr(c)}/>" for c in classes)
    config = f'<View><Image name="image" value="$image"/><{tag} name="label" toName="image">{labels}</{tag}></View>'
    tasks = json.load(open(folder / "labelstudio.json"))
    assert [t["data"]["image"] for t in tasks] == [line["image"] for line in lines]
    for i, t in enumerate(tasks):  # what a person accepts becomes an annotation
        t["id"], t["annotations"] = i + 1, [dict(t["predictions"][0], id=i + 1)]
    with tempfile.TemporaryDirectory() as out, quiet():
        exported = pathlib.Path(out) / "tasks.json"
        exported.write_text(json.dumps(tasks))
        Converter(config, project_dir=out, download_resources=False).convert_to_coco(str(exported), f"{out}/coco", output_image_dir=f"{out}/images", is_dir=False)
        back = json.load(open(f"{out}/coco/result.json"))
    names = {c["id"]: c["name"] for c in back["categories"]}
    want = [b for line in lines for b in line["boxes"]]
    got = back["annotations"]
    if not masks:
        assert len(got) == len(want)
        for a, b in zip(got, want):
            x0, y0, x1, y1 = b["box"]
            assert names[a["category_id"]] == b["label"] and np.allclose(a["bbox"], [x0, y0, x1 - x0, y1 - y0], atol=1e-6)
    else:
        # A mask without a pixel has its box as an outline.
        firsts = [p[0] for b in want for p in b["polygons"] or [b["box"]]]
        assert len(got) == len(firsts)
        assert np.allclose(sorted(a["segmentation"][0][0] for a in got), sorted(firsts))
    return f"{len(got)} annotations"


def main():
    logging.disable()
    logger.remove()  # LabelMe's
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    for kind in ("boxes", "masks"):
        folder, masks = root / kind, kind == "masks"
        lines = [json.loads(line) for line in open(folder / "out.json")]
        print(kind, "pycocotools:", coco(folder, lines, "segm" if masks else "bbox"))
        print(kind, "supervision:", supervision(folder, lines, masks))
        print(kind, "labelme:", labelme(folder, lines))
        print(kind, "label studio:", labelstudio(folder, lines, masks))


main()
