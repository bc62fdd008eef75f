#!/bin/sh
# Train and export both demo checkpoints and their mask codec. Interrupted, it resumes.
set -eu
cd "$(dirname "$0")"
state=${1:-.train}
python tower.py --out "$state" --minutes 20
python train.py --out "$state" --kind gemma --minutes 200 --packed 0.65
python train.py --out "$state" --kind gemma2 --minutes 22 --packed 0.5
[ -e "$state/codes.pt" ] || python train_vae.py --minutes 5 --to "$state"
for kind in gemma gemma2; do
    python export.py --state "$state/$kind.pt" --kind $kind --to "$state/$kind"
    [ -e "$state/$kind-pose.pt" ] || python pose.py --out "$state" --kind $kind --checkpoint "$state/$kind" --minutes 12
    python tune.py --out "$state" --kind $kind --checkpoint "$state/$kind" --codec "$state/vae-oid.npz" --codes "$state/codes.pt" --minutes 40
done
python export.py --state "$state/gemma-tuned.pt" --kind gemma --to ../paligemma-demo
python export.py --state "$state/gemma2-tuned.pt" --kind gemma2 --to ../paligemma2-demo
for folder in ../paligemma-demo ../paligemma2-demo; do cp "$state/vae-oid.npz" $folder/; done
