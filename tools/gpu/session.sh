#!/usr/bin/env bash
# What the project measures and trains on a GPU, step by step, from a source tree:
#
#   tools/gpu/session.sh check bench          (about 3 minutes)
#   tools/gpu/session.sh train                (about 8 minutes; call it again to go on)
#   tools/gpu/session.sh adapt                (about 1 minute)
#
# Needs Python >= 3.11 with PyTorch, OpenCV and safetensors. Results go to $OUT (default out/gpu): JSON, tables and
# a checkpoint, no file above 16 MiB. Settings come from the environment: STATE (folder of an earlier checkpoint to go on
# from), COMMIT (what to write into the results, where git is absent or knows another), ARGS_<STEP> (further arguments of
# a step), DEVICE (default cuda).
# A step that fails does not stop the next one; the exit code is that of the last one that failed.
set -u
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
export PYTORCH_CUDA_ALLOC_CONF="${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}"
out="${OUT:-out/gpu}"
status=0
[ $# -gt 0 ] || { echo "usage: tools/gpu/session.sh check|bench|train|adapt ..." >&2; exit 2; }
for step in "$@"; do
  case "$step" in
    check|bench|train|adapt) ;;
    *) echo "unknown step '$step': use check, bench, train or adapt" >&2; exit 2 ;;
  esac
done
mkdir -p "$out"
for step in "$@"; do
  variable="ARGS_$(echo "$step" | tr '[:lower:]' '[:upper:]')"
  echo "== $step"
  # shellcheck disable=SC2086
  "${PYTHON:-python3}" -m "tools.gpu.$step" --device "${DEVICE:-cuda}" --out "$out" ${!variable:-} || status=$?
done
exit "$status"
