"""Two nodes on this machine answer about pictures; one is killed in the middle. Every row must come out once. The other
node then finds objects in pictures that Ray reads.

Usage: python ray_node_lost.py EXECUTABLE PICTURE
"""

import os
import sys
import time

import ray
from ray.cluster_utils import Cluster

import pgc
import pgc_ray

ROWS = 600

# A dead node is to be noticed within seconds, not half a minute.
HEALTH = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}


def main(executable: str, picture: str) -> None:
    started = time.time()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False, "_system_config": HEALTH})
    second = cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    assert sum(n["Alive"] for n in ray.nodes()) == 2, ray.nodes()
    with open(picture, "rb") as f:
        content = f.read()
    rows = [{"id": i, "image": content, "question": f"how many horses are there? {i % 7}"} for i in range(ROWS)]
    rows[5]["image"] = b"no picture"
    dataset = ray.data.from_items(rows, override_num_blocks=30)
    answers = pgc_ray.map(dataset, executable, task="ask", prompts="question", batch_size=10, concurrency=2, max_new_tokens=8)
    print(f"the cluster took {time.time() - started:.1f} s", flush=True)
    started, seen, killed = time.time(), {}, False
    for batch in answers.iter_batches(batch_size=10, prefetch_batches=0, batch_format="pyarrow"):
        for row in batch.select(["id", "text", "error"]).to_pylist():
            assert row["id"] not in seen, f"row {row['id']} came twice"
            seen[row["id"]] = row
        if not killed and len(seen) >= 50:
            cluster.remove_node(second, allow_graceful=False)
            killed = True
            print(f"a node was killed after {len(seen)} rows", flush=True)
    print(f"{len(seen)} rows took {time.time() - started:.1f} s", flush=True)
    assert killed, "no node was killed"
    assert sorted(seen) == list(range(ROWS)), f"{ROWS - len(seen)} rows are lost"
    assert seen[5]["text"] is None and "in memory" not in seen[5]["error"], seen[5]
    with pgc.Model(executable) as m:
        for i in (0, 3, ROWS - 1):
            alone = m.ask(content, rows[i]["question"], max_new_tokens=8)
            assert seen[i]["text"] == alone, (seen[i], alone)
        read = ray.data.read_images(os.path.dirname(picture), include_paths=True, mode="RGB")
        found = pgc_ray.map(read, executable, task="detect", classes=["horse", "airplane"]).take_all()
        assert len(found) == len([name for name in os.listdir(os.path.dirname(picture)) if name.endswith(".png")])
        for row in found:
            alone = [{"label": b.label, "score": b.score, "xyxy": list(b.xyxy)} for b in m.detect(row["path"], ["horse", "airplane"])]
            assert row["boxes"] == alone and row["error"] is None, (row["path"], row["boxes"], alone)
        assert sum(len(row["boxes"]) for row in found) >= 3
    ray.shutdown()
    cluster.shutdown()
    print("every row came once")


if __name__ == "__main__":
    main(*sys.argv[1:])
