#!/bin/sh
# Compare the answers of executables that two compilers make: sh scripts/same-bits.sh OLD NEW [smoke|quick]
# OLD and NEW are programs pgc, or folders that an earlier call made with `sh scripts/same-bits.sh PGC keep DIR`.
# Every executable runs forward, generate and batch on each of its instruction sets. Prints what differs; exit 1 if anything does.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
demo=models/paligemma/demo
# Bytes that a file may have more than that of kept answers. Of the runtime: the fonts of labels (1.1 MB), detect and its
# formats, serve with an HTTP server, TLS, logs, metrics and the page, without what only the parser of command lines held
# (1.8 MB). Of the code: products of bf16 for AMX and Zen 4 (0.5 MB).
grown=2700000
# Leave out what is said about an answer: its bits are its tokens, text and log-probabilities.
tokens='s/"malformed":\[.*\],"prompt_tokens"/"prompt_tokens"/; s/"warnings":\[.*\],"timings"/"timings"/'

cases() {
    if [ "$1" = smoke ]; then
        echo "golden/pg1-odd|--cpu x86-64-v3"
        echo "golden/pg2-odd|--weights int4 --group 32 --cpu x86-64-v3,cascadelake"
        echo "golden/pg1-odd|--weights bf16 --compute bf16 --kv bf16 --cpu x86-64-v3,x86-64-v4"
        return
    fi
    for c in golden/pg1-odd golden/pg2-odd; do
        for flags in "" "--weights int8" "--weights int4 --group 32" "--weights bf16 --compute bf16 --kv bf16"; do
            echo "$c|$flags"
        done
    done
    [ "$1" = quick ] && return
    for c in golden/pg1-bf16 golden/pg2-mha $demo/paligemma-demo $demo/paligemma2-demo; do
        for flags in "" "--weights int8" "--weights int8 --compute f32" "--weights int4" "--weights int4 --compute f32" "--weights int4 --group 64 --kv bf16" "--weights bf16 --compute bf16" "--weights f16"; do
            echo "$c|$flags"
        done
    done
    echo "golden/pg1-odd|--cpu cascadelake,haswell"
}

# answers PGC DIR LIST: compile and run every case, results in DIR.
answers() {
    mkdir -p "$2"
    n=0
    cases "$3" | while IFS='|' read -r checkpoint flags; do
        n=$((n + 1))
        exe=$work/exe
        # shellcheck disable=SC2086
        "$1" compile "$checkpoint" -o "$exe" $flags 2>"$2/$n.log" || { echo "$1 compile $checkpoint $flags: $(cat "$2/$n.log")" >&2; exit 1; }
        wc -c <"$exe" >"$2/$n.size"
        for isa in $("$exe" info | sed -n 's/^ *\(code .*MiB\)*  *\([a-z0-9-]*\): [0-9]* kernels.*runs here.*/\2/p;s/^ *\([a-z0-9-]*\): [0-9]* kernels \[.*\]$/\1/p' | sort -u); do
            out=$2/$n.$isa
            "$exe" forward --isa "$isa" --image golden/pictures/shapes.png --prompt "detect cat" --suffix "a b" -o "$out.forward" 2>"$out.err" || { cat "$out.err" >"$out.forward"; continue; }
            "$exe" forward --isa "$isa" --image golden/pictures/wide.png --image golden/pictures/grey.png --prompt "" --threads 1 -o "$out.two"
            "$exe" generate --isa "$isa" --image golden/pictures/noise.png --prompt "caption en" --max-new-tokens 24 --json --logprobs 2>/dev/null |
                sed "$tokens; "'s/"timings":{[^}]*}//; s/"peak_rss_bytes":[0-9]*//; s/"timings": {[^}]*}//; s/"peak_rss_bytes": [0-9]*//' >"$out.generate"
            for i in 1 2 3 4 5 6 7 8 9; do
                echo "{\"id\": \"$i\", \"images\": [\"golden/pictures/shapes.png\"], \"prompt\": \"word $i $i\", \"max_new_tokens\": $((i + 3))}"
            done >"$work/in.jsonl"
            rm -f "$work/out.jsonl"
            "$exe" batch --isa "$isa" --input "$work/in.jsonl" --output "$work/out.jsonl" 2>/dev/null || true
            sed "$tokens; "'s/"timings":{[^}]*}//; s/"peak_rss_bytes":[0-9]*//; s/"timings": {[^}]*}//; s/"peak_rss_bytes": [0-9]*//; s/"[a-z_]*_s":[0-9.e-]*//g' "$work/out.jsonl" >"$out.batch"
        done
    done
}

list=${3:-full}
if [ "$2" = keep ]; then
    answers "$1" "$3" "${4:-full}"
    exit
fi
old=$1 new=$2
[ -d "$old" ] || { answers "$1" "$work/old" $list; old=$work/old; }
[ -d "$new" ] || { answers "$2" "$work/new" $list; new=$work/new; }
bad=0 same=0
for f in "$old"/*; do
    name=$(basename "$f")
    case $name in
    *.log | *.err) continue ;;
    *.size)
        awk -v a="$(cat "$f")" -v b="$(cat "$new/$name")" -v n="$name" -v more="$grown" 'BEGIN { if (b > a * 1.02 + more) { print n ": " a " -> " b " bytes, over 2 % larger"; exit 1 } }' || bad=1
        ;;
    *)
        if [ ! -e "$new/$name" ]; then # an instruction set that only the old compiler's list has
            echo "not compared, absent: $name ($(cases $list | sed -n "${name%%.*}p"))"
            continue
        fi
        if cmp -s "$f" "$new/$name"; then same=$((same + 1)); else echo "differs: $name ($(cases $list | sed -n "${name%%.*}p"))"; bad=1; fi ;;
    esac
done
echo "$same results equal"
exit $bad
