#!/usr/bin/env bash
# Everything that claims a GPU, on a machine that has one, in at most ten minutes:
#
#     benchmarks/gpu.sh OUT [--seconds 585] [--parts 1,2,3,4,5,6,7,8] [--wheels FOLDER] [--data PTBXL] [--rehearse]
#
# Each part runs in processes of its own and has its own limit; one that fails or is cut does not stop the others. What
# they find is written to OUT as it comes, so that a cut run leaves its tables: report.md for people, rows.csv (every
# figure), parts.csv, log.txt, kernels.csv, kernels.md, llava.csv. The status is 1 where a part failed.
# --rehearse: the same on the CPU with tiny sizes.
set -u
usage() { sed -n '2,4p' "$0" >&2; exit 2; }
[ $# -ge 1 ] || usage
out=$1 seconds= parts=1,2,3,4,5,6,7,8 wheels=${GEM_WHEELS:-} data= rehearse=
shift
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) seconds=$2; shift 2 ;;
        --parts) parts=$2; shift 2 ;;
        --wheels) wheels=$2; shift 2 ;;
        --data) data=$2; shift 2 ;;
        --rehearse) rehearse=1; shift ;;
        *) usage ;;
    esac
done
python=${PYTHON:-python3}
mkdir -p "$out" && out=$(realpath "$out") || exit 2
[ -z "$wheels" ] || wheels=$(realpath "$wheels")
[ -z "$data" ] || data=$(realpath -m "$data")
cd "$(dirname "$0")/.." || exit 2
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TMPDIR=$work GEM_GPU_OUT=$out
export TORCHINDUCTOR_CACHE_DIR=$work/inductor
unset TRITON_INTERPRET
note() { printf '%s\n' "$*" | tee -a "$out/log.txt"; }
if [ -n "$wheels" ]; then  # nothing can be downloaded there
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$work/site" \
        "$wheels"/*.whl >>"$out/log.txt" 2>&1 || note "the wheels in $wheels could not be installed"
    export PYTHONPATH=$PYTHONPATH:$work/site  # before what is installed: bring only what is missing
fi

names=(- environment tests recipes bench shapes llava tiles training)
limits=(0 30 110 90 300 60 120 60 40)  # s; the bench leaves the later parts theirs, and the last one takes the rest
if [ -n "$rehearse" ]; then
    export GEM_GPU_REHEARSE=1 CUDA_VISIBLE_DEVICES=
    limits=(0 200 200 200 200 200 200 200 200) seconds=${seconds:-1400}  # a busy machine may take its time
fi
seconds=${seconds:-585}
failed=0
for number in ${parts//,/ }; do
    name=${names[$number]:-}
    if [ -z "$name" ] || [ "$name" = - ]; then usage; fi
    left=$((seconds - SECONDS)) limit=${limits[$number]} later=0
    for other in ${parts//,/ }; do
        if [ "$other" -gt "$number" ]; then later=$((later + limits[other])); fi
    done
    if [ "$name" = bench ] && [ $((left - later)) -lt "$limit" ]; then limit=$((left - later > 60 ? left - later : 60)); fi
    if [ "$name" = training ] || [ "$limit" -gt "$left" ]; then limit=$left; fi
    begun=$SECONDS
    if [ "$limit" -lt 5 ]; then
        status="not run: the time was up"
    else
        note "== $number $name, at most $limit s"
        # the part ends by itself some seconds earlier, with a complete table
        timeout -k 5 "$limit" "$python" benchmarks/gpu_parts.py "$name" --seconds "$limit" ${data:+--data "$data"} \
            >>"$out/log.txt" 2>&1
        code=$?
        case $code in
            0) status=ok ;;
            124 | 137) status="cut at $limit s" ;;
            *) status="failed with status $code" ;;
        esac
    fi
    # a part with failed rows counts as failed too
    "$python" benchmarks/gpu_report.py "$number" "$name" "$status" $((SECONDS - begun)) | tee -a "$out/log.txt"
    if [ "${PIPESTATUS[0]}" -ne 0 ]; then failed=1; fi
done
exit $failed
