#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What peerlab runs on: OpenBLAS's core fits the CPU, or the user's choice is left: restart.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
peerlab=$(cd "$2" && pwd)/experiments/peerlab
. "$source/tests/support/checks.sh" || exit 1
. "$source/tests/support/peerlab.sh" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
unset OMP_WAIT_POLICY GOMP_SPINCOUNT OPENBLAS_CORETYPE PEER_CPU PEERLAB_CORETYPE

# The level that the CPU has, by the system's word.
has() { # has FLAG...
  for flag in "$@"; do
    grep -qw "$flag" /proc/cpuinfo || return 1
  done
}
cpu=ref
! has avx2 fma || cpu=avx2
! has avx2 fma avx512f avx512bw avx512dq avx512vl || cpu=avx512

# says PATTERN VARIABLE=VALUE...: a line of --version in that environment.
says() {
  local pattern=$1
  shift
  ends_saying 0 "$pattern" env "$@" "$peerlab" --version
}
check "the CPU's level" says "^kernels  $cpu\$"
check "BLAS" says "^BLAS  *OpenBLAS"
check "threads" says "^threads  3" OMP_NUM_THREADS=3
check "PEER_CPU caps" says "^kernels  ref" PEER_CPU=ref
check "PEER_CPU without a meaning" says 'PEER_CPU is "z80", which is no level' PEER_CPU=z80
check "OMP_WAIT_POLICY is the user's" says "^threads" OMP_WAIT_POLICY=active

choosing() { # an OpenBLAS that has kernels for several CPUs
  says DYNAMIC_ARCH >/dev/null
}
# Beside the build of OpenBLAS that has threads of its own, wherever it is installed.
pthread_folder=$(dirname "$(readlink -f "$(ldd "$peerlab" | sed -n 's/.*libopenblas.* => \([^ ]*\).*/\1/p')")")/../openblas-pthread
pthread_folder=${OPENBLAS_PTHREAD_FOLDER:-$pthread_folder}
if [ -e "$pthread_folder/libopenblas.so.0" ]; then
  tests=$(dirname "$peerlab")/../tests
  check "beside pthreads: not used" says "^products by kernels alone: this BLAS is not" \
    LD_LIBRARY_PATH="$pthread_folder"
  [ ! -x "$tests/test_linear" ] ||
    check "beside pthreads: same bits" env LD_LIBRARY_PATH="$pthread_folder" "$tests/test_linear"
else
  echo "no libopenblas0-pthread: not tried beside it"
fi

if choosing && [ $cpu != ref ]; then
  check "the core is the CPU's" says "^core .* ($cpu): "
  check "a lesser core where PEER_CPU caps" says "^core .* (avx[0-9]*): " PEER_CPU=avx2
  check "none is asked for where plain kernels are" \
    says "^core .*: its own choice\$" PEER_CPU=ref
  for core in Haswell prescott; do
    check "$core as the user set" \
      says "^core  *\(Haswell\|Prescott\) .*: set by OPENBLAS_CORETYPE" OPENBLAS_CORETYPE=$core
  done
  check "a user's lesser core" says "set by OPENBLAS_CORETYPE; below this CPU, which has $cpu" \
    OPENBLAS_CORETYPE=Prescott
  check "a core that does not exist" says 'OPENBLAS_CORETYPE is "z80", which it does not know' \
    OPENBLAS_CORETYPE=z80
  check "an empty choice is none" says "^core .* ($cpu): " OPENBLAS_CORETYPE=
  check "a word of an earlier start that does not hold" \
    says "^core .*: set by OPENBLAS_CORETYPE" PEERLAB_CORETYPE="Prescott Haswell" OPENBLAS_CORETYPE=Prescott
  check "a core that did not take is asked for once" \
    says "^core .* ($cpu): " PEERLAB_CORETYPE="Prescott Prescott" OPENBLAS_CORETYPE=Prescott
else
  echo "OpenBLAS has one core, or the CPU no AVX2: its choice is not looked into"
fi

cat >info.yaml <<'TEXT'
data: nowhere
model: {width: 8, blocks: 1, vocab: 11, context: 9}
train: {steps: 5, sequences: 2}
TEXT
check "info says it too" ends_saying 0 "^core .* (.*): " "$peerlab" info info.yaml

# Where the program cannot find itself.
if unshare -m true 2>/dev/null; then
  without_proc() { # where AddressSanitizer could not look for leaks
    ends 0 env ASAN_OPTIONS=detect_leaks=0 unshare -m sh -c 'mount -t tmpfs none /proc && exec "$0" --version' "$peerlab" &&
      grep -q "spin while they wait: set OMP_WAIT_POLICY=passive" out || return 1
    ! grep -q "^core .* (ref)" out || [ $cpu = ref ] ||
      grep -q "starting again failed (No such file or directory): slower; set OPENBLAS_CORETYPE=" out
  }
  check "without /proc" without_proc
else
  echo "no right to hide /proc: not tried"
fi
loader=$(find /lib64 /lib -maxdepth 1 -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
[ -z "$loader" ] || check "by the loader's name" ends_saying 0 "^peerlab " "$loader" "$peerlab" --version

finish
