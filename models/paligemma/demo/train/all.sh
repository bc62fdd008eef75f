#!/bin/sh
# Train and export both demo checkpoints. Interrupted, it resumes.
set -eu
cd "$(dirname "$0")"
state=${1:-.train}
python tower.py --out "$state" --minutes 20
python train.py --out "$state" --kind gemma --minutes 200 --packed 0.65
python train.py --out "$state" --kind gemma2 --minutes 22 --packed 0.5
python export.py --out "$state" --kind gemma --to ../paligemma-demo
python export.py --out "$state" --kind gemma2 --to ../paligemma2-demo
