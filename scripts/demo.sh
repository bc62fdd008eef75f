#!/bin/sh
# Run bin/demo, the compiled demo checkpoint, on the pictures beside the checkpoint: captions, answers, text, masks.
set -eu
cd "$(dirname "$0")/.."
demo=$1
mkdir -p out
for picture in "$demo"/pictures/*.png; do
    name=$(basename "$picture" .png)
    echo "== $picture"
    printf '   caption en: %s\n' "$(bin/demo "$picture" "caption en")"
    printf '   answer en what colour is the background? %s\n' "$(bin/demo "$picture" "answer en what colour is the background?")"
    text=$(bin/demo "$picture" "ocr")
    [ -z "$text" ] || printf '   ocr: %s\n' "$text"
    # Segment what the caption names.
    for class in $(bin/demo "$picture" "caption en" | grep -oE 'cat|dog|horse|elephant|fish|bird|butterfl|car|bus|bicycle|boat|airplane|tree|sunflower|apple|banana|pizza|cup|umbrella|guitar|ball|house|key|clock' | sed 's/butterfl/butterfly/' | sort -u | head -n 2); do
        classes="${classes:+$classes ; }$class"
    done
    if [ -n "${classes:-}" ]; then
        printf '   segment %s -> out/%s.png\n' "$classes" "$name"
        bin/demo segment "$picture" "$classes" --draw "out/$name.png" | sed "s/^/      /"
        classes=""
    fi
done
