#!/bin/sh
# Train and export both demo checkpoints and their mask codec: all.sh [STATE [WORKERS]]. Interrupted, it resumes.
set -eu
cd "$(dirname "$0")"
state=${1:-.train} workers=${2:-1}
python tower.py --out "$state" --minutes 20
python train.py --out "$state" --minutes 200 --packed 0.65
python export.py --state "$state/gemma.pt" --kind gemma --to "$state/gemma"
[ -e "$state/codes.pt" ] || python train_vae.py --minutes 5 --to "$state"
[ -e "$state/gemma-pose.pt" ] || python pose.py --out "$state" --checkpoint "$state/gemma" --minutes 12
tune() { OMP_NUM_THREADS=1 python -m torch.distributed.run --nproc-per-node "$workers" tune.py --out "$state" --checkpoint "$state/gemma" --codec "$state/vae-oid.npz" --codes "$state/codes.pt" "$@"; }
tune --kind gemma --minutes $((150 / workers))
tune --kind gemma2 --minutes $((174 / workers)) --muon 0.006 --adam 1.1e-3
settle() { [ -e "$state/$2" ] || python settle.py --checkpoint "$state/gemma" --state "$state/$1" --codes "$state/codes.pt" --share "$3" --to "$state/$2"; }
settle gemma-tuned.pt gemma-settled.pt 0.83
tune --kind gemma --refine "$state/gemma-settled.pt" --minutes $((42 / workers)) --muon 0.0008 --adam 1.5e-4
settle gemma-refined.pt gemma-done.pt 0.93
tune --kind gemma2 --refine "$state/gemma2-tuned.pt" --minutes $((50 / workers)) --muon 0.0013 --adam 2.4e-4
python export.py --state "$state/gemma-done.pt" --kind gemma --to ../paligemma-demo
python export.py --state "$state/gemma2-refined.pt" --kind gemma2 --to ../paligemma2-demo
for folder in ../paligemma-demo ../paligemma2-demo; do cp "$state/vae-oid.npz" $folder/; done
