#!/usr/bin/env bash
# A long training on one core beside other work: starts it, or goes on from its last checkpoint.
#
#     tools/train_in_background.sh start CONFIG FOLDER    FOLDER: checkpoint, clips and log; kept for the next start
#     tools/train_in_background.sh status FOLDER
#     tools/train_in_background.sh stop FOLDER            what came after the last checkpoint is done again
#
# Lowest priority, one thread, and one process that renders. PYTHON: the interpreter, by default .venv's.
set -euo pipefail
usage() { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }

runs() { [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null && grep -q "vgslam" "/proc/$(cat "$1/pid")/cmdline"; }

start() {
    local config=$1 folder=$2 root
    root=$(cd "$(dirname "$0")/.." && pwd)
    [ -f "$config" ] || { echo "$config: no such recipe" >&2; exit 2; }
    mkdir -p "$folder"
    if runs "$folder"; then echo "already running, process $(cat "$folder/pid"): $folder/train.log"; exit 0; fi
    # Large tensors are kept by the allocator instead of given back and cleared again: a tenth of the time.
    export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456
    export OMP_NUM_THREADS=1 PYTHONPATH="$root" PYTHONUNBUFFERED=1
    cd "$root"
    setsid nohup nice -n 19 "${PYTHON:-$root/.venv/bin/python}" -m vgslam train "$config" --out "$folder" \
        --data "$folder/data" --device cpu --threads 1 >>"$folder/train.log" 2>&1 </dev/null &
    echo $! >"$folder/pid"
    echo "started, process $!: tail -f $folder/train.log"
}

status() {
    if runs "$1"; then echo "running, process $(cat "$1/pid")"; else echo "not running"; fi
    tail -n 3 "$1/train.log"
}

stop() {
    runs "$1" || { echo "not running"; exit 0; }
    kill -- "-$(cat "$1/pid")"
    echo "stopped"
}

[ $# -ge 1 ] || usage
case "$1" in
    start) [ $# -eq 3 ] || usage; start "$(realpath "$2")" "$(realpath -m "$3")" ;;
    status) [ $# -eq 2 ] || usage; status "$(realpath "$2")" ;;
    stop) [ $# -eq 2 ] || usage; stop "$(realpath "$2")" ;;
    *) usage ;;
esac
