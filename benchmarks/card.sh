#!/usr/bin/env bash
# Everything that only a CUDA card can show: are the results right, and how fast are they.
#
#   bash benchmarks/card.sh bench-results/card            # under nine minutes; needs no network
#   bash benchmarks/card.sh --tiny /tmp/card              # without a card: only whether it works
#
# Writes tests.txt, paths.md, paths.log, gpu.md and a PART.json per part of gpu.md into the folder.
# The most valuable part comes first, and each has a time limit, so that one that hangs loses only
# itself. The exit status is the number of parts that failed; --tiny only imports the tests, and
# each limit is four times as long, because other programs may use the cores.
set -u
tiny=
test "${1:-}" = --tiny && tiny=--tiny && shift
if test $# -ne 1 || test -z "${1##-*}"; then
    echo "card.sh: found '$*', expected a folder for the results:" \
        "bash benchmarks/card.sh [--tiny] bench-results/card" >&2
    exit 2
fi
out=$1
mkdir -p "$out" && out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.." && rm -f "$out/gpu.md"
device=$(test "$tiny" && echo cpu || echo cuda)
slower=$(test "$tiny" && echo 4 || echo 1)
python=${PYTHON:-$(test -x .venv/bin/python && echo .venv/bin/python || echo python3)}
export BIOQ_CUDA_FAST=1 # what is checked here; off by default until a card has run it
export PYTHONPATH=$PWD/src:${PYTHONPATH:-} PYTHONUNBUFFERED=1
failed=0

part() {  # NAME SECONDS COMMAND...: run with a limit, say how it ended
    local name=$1 limit=$(($2 * slower)) started=$SECONDS status
    shift 2
    timeout -k 5 "$limit" "$@"
    status=$?
    echo "== $name: status $status after $((SECONDS - started)) s (limit $limit s)"
    return $status
}

measure() {  # NAME SECONDS SECTIONS...
    local name=$1 limit=$2
    shift 2
    part "$name" "$limit" "$python" benchmarks/gpu.py --device "$device" $tiny \
        --out "$out" --name "$name" --sections "$@" || failed=$((failed + 1))
    { cat "$out/$name.md"; echo; } >>"$out/gpu.md" && rm "$out/$name.md"
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null

# 1. The tests that use a card where there is one, and beside them every command against the CPU.
tests="fast_cuda attribution training forward batches evaluation prediction variants
    mutagenesis calibration ensemble finetuning filter_motifs deepatt marq web_model"
test_options=$(test "$tiny" && echo "--collect-only -n0" || echo "-n ${TEST_WORKERS:-6}")
OMP_NUM_THREADS=1 part tests 150 "$python" -m pytest -q -p no:cacheprovider \
    $test_options --dist worksteal \
    $(printf 'tests/test_%s.py ' $tests) >"$out/tests.txt" 2>&1 &
tested=$!
OMP_NUM_THREADS=${PATH_THREADS:-8} part paths 170 "$python" benchmarks/card_paths.py \
    --device "$device" $tiny --out "$out" 2>"$out/paths.log" || failed=$((failed + 1))
wait $tested || failed=$((failed + 1))
grep -E "^(FAILED|ERROR|E  )|passed|failed|collected|^== " "$out/tests.txt" | cut -c1-300

# 2. Inference, 3. training, 4. what takes the time, 5. other tiles.
measure inference 110 inference prediction
measure training 110 training epoch
measure profile 40 profile
measure tiles 80 tiles
exit $failed
