#!/bin/bash
# Answers about pictures in the tasks of an array, each with a shard of its own:
#     INPUT=photos.tar OUTPUT=answers.jsonl sbatch slurm-array.sh
# A task that was killed goes on where it was (--requeue). To do some tasks again name N, because Slurm then counts only
# these: SHARDS=16 sbatch --array=3,7 slurm-array.sh. Join the shards when all are complete: captioner merge -o …
#SBATCH --job-name=captions
#SBATCH --array=0-15
#SBATCH --cpus-per-task=8
#SBATCH --mem=4G
#SBATCH --requeue
#SBATCH --output=captions-%a.log
set -eu
shard=auto
[ -z "${SHARDS:-}" ] || shard=$SLURM_ARRAY_TASK_ID/$SHARDS
exec "${CAPTIONER:-./captioner}" batch --input "$INPUT" --prompt "${PROMPT:-caption en}" --output "$OUTPUT" \
    --shard "$shard" --threads "${SLURM_CPUS_PER_TASK:-0}"
