"""The recipes of deploy/, each as far as one machine can run it."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest
import yaml

from conftest import PICTURE, ROOT

DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def demo():
    return os.path.abspath(os.environ["PGC_DEMO"])


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A tar file of 24 samples."""
    path = tmp_path_factory.mktemp("photos") / "photos.tar"
    with tarfile.open(path, "w") as t:
        for i in range(24):
            t.add(PICTURE, f"{i:04d}.png")
    return path


def merged(demo, folder):
    """Joins the shards in a folder, and returns the ids and texts."""
    shards = sorted(map(str, folder.glob("answers-*-of-*.jsonl")))
    subprocess.run([demo, "merge", "-o", str(folder / "all.jsonl"), *shards], check=True)
    return [(r["id"], r["text"]) for r in map(json.loads, (folder / "all.jsonl").read_text().splitlines())]


ALL = [(f"{i:04d}", "two horses and an airplane on a purple background") for i in range(24)]


def test_image(demo, tmp_path):
    """The layout's digests are right, the image is the same when it is made again, and what is in it runs alone."""
    for name in ("one.tar", "two.tar"):
        subprocess.run([str(DEPLOY / "oci-image.sh"), demo, str(tmp_path / name), "captioner:1"], check=True)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.tar", "two.tar"]
    image = tmp_path / "image"
    with tarfile.open(tmp_path / "one.tar") as t:
        t.extractall(image, filter="data")
    assert json.loads((image / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}

    def blob(descriptor):
        data = (image / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
        assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"] and len(data) == descriptor["size"]
        return data

    index = json.loads((image / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]))
    config, (layer,) = json.loads(blob(manifest["config"])), manifest["layers"]
    blob(layer)
    assert len(list((image / "blobs/sha256").iterdir())) == 3
    assert config["rootfs"]["diff_ids"] == [layer["digest"]] and config["architecture"] == index["manifests"][0]["platform"]["architecture"]
    root = tmp_path / "root"
    with tarfile.open(image / "blobs/sha256" / layer["digest"].removeprefix("sha256:")) as t:
        members = [(m.name, m.mode, m.uid) for m in t]
        t.extractall(root, filter="fully_trusted")
    assert members == [(".", 0o755, 0), ("./captioner", 0o755, 0)], members
    shutil.copy(PICTURE, root / "p.png")
    run = subprocess.run(["unshare", "-r", "chroot", str(root), *config["config"]["Entrypoint"], "/p.png", "ocr"], capture_output=True, text=True)
    assert run.stdout == "TEAM\n", run.stderr
    refused = subprocess.run([str(DEPLOY / "oci-image.sh"), str(PICTURE), str(tmp_path / "x.tar")], capture_output=True, text=True)
    assert refused.returncode == 1 and "expected one that pgc compile made" in refused.stderr and not (tmp_path / "x.tar").exists()


def documents(name):
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


@pytest.mark.parametrize("name", ["kubernetes-job.yaml", "kubernetes-server.yaml"])
def test_kubernetes_schema(name):
    import kubernetes_validate

    for document in documents(name):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def container(document):
    return document["spec"]["template"]["spec"]["containers"][0]


def test_kubernetes_job(demo, photos, tmp_path):
    """Every pod of the Job, one after another, in a folder in the place of its volume."""
    (job,) = documents("kubernetes-job.yaml")
    args = [a.replace("/data/photos.tar", str(photos)).replace("/data", str(tmp_path)) for a in container(job)["args"]]
    assert job["spec"]["completionMode"] == "Indexed" and f"--shard=auto/{job['spec']['completions']}" in args
    for index in range(job["spec"]["completions"]):
        subprocess.run([demo, *args], env={"JOB_COMPLETION_INDEX": str(index)}, check=True)
    assert merged(demo, tmp_path) == ALL


def test_kubernetes_server(demo, tmp_path):
    """The Deployment's arguments are those of serve, and its probes are answered without a key."""
    import urllib.request

    from conftest import serve

    deployment, service = documents("kubernetes-server.yaml")
    (tmp_path / "keys").write_text("secret\n")
    args = [a.replace("/keys/keys", str(tmp_path / "keys")) for a in container(deployment)["args"] if not a.startswith("--addr")]
    process, address = serve(demo, *args[1:])
    try:
        for probe in ("readinessProbe", "livenessProbe"):
            with urllib.request.urlopen(address + container(deployment)[probe]["httpGet"]["path"]) as r:
                assert r.status == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stderr.close()
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]


def test_slurm(demo, photos, tmp_path):
    """The tasks of an array, and one of them again alone."""
    env = {**os.environ, "CAPTIONER": demo, "INPUT": str(photos), "OUTPUT": str(tmp_path / "answers.jsonl"), "SLURM_CPUS_PER_TASK": "1"}
    for task in range(4):
        array = {"SLURM_ARRAY_TASK_ID": str(5 + task), "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"}
        subprocess.run(["bash", str(DEPLOY / "slurm-array.sh")], env={**env, **array}, check=True)
    (tmp_path / "answers-00002-of-00004.jsonl").unlink()
    again = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MIN": "2", "SLURM_ARRAY_TASK_COUNT": "1", "SHARDS": "4"}
    subprocess.run(["bash", str(DEPLOY / "slurm-array.sh")], env={**env, **again}, check=True)
    assert merged(demo, tmp_path) == ALL


def test_systemd(demo, tmp_path):
    """systemd finds nothing to object to in the units, with an executable where they expect one."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing")
    for unit in ("captioner.service", "captioner.socket"):
        text = (DEPLOY / unit).read_text().replace("/opt/captioner", demo)
        (tmp_path / unit).write_text(text)
    run = subprocess.run(["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / "captioner.service"), str(tmp_path / "captioner.socket")], capture_output=True, text=True)
    said = [line for line in run.stderr.splitlines() if "captioner" in line]
    assert run.returncode == 0 and not said, run.stderr
