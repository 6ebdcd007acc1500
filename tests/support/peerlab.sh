# SPDX-License-Identifier: MIT
# Checks of a program's end and of run folders, for shell tests of peerlab. They leave the command's
# output in the files out and err of the current folder.

# ends STATUS COMMAND...: shows what was said where it ends otherwise.
ends() {
  local expected=$1 status
  shift
  "$@" >out 2>err </dev/null
  status=$?
  [ $status = "$expected" ] || { echo "status $status, expected $expected"; cat out err; return 1; }
}

# ends_saying STATUS PATTERN COMMAND...: the pattern stands in a line of its output.
ends_saying() {
  local expected=$1 pattern=$2
  shift 2
  ends "$expected" "$@" &&
    { cat out err | grep -q -e "$pattern" || { echo "no \"$pattern\" in:"; cat out err; return 1; }; }
}

# hearing COMMAND...: a command that hears what stops it, although a shell lets what is in the background
# ignore Ctrl-C, and nohup HUP.
hearing() {
  exec env --default-signal=INT,HUP,TERM,USR1,XCPU "$@"
}

full_disk() {
  "$@" >/dev/full 2>err </dev/null
  [ $? = 1 ] && grep -q "standard output: No space left" err
}

# within SECONDS COMMAND...: waits until the command succeeds.
within() {
  local tries=$((50 * $1))
  shift
  until "$@" 2>/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.02
  done
}

# A checkpoint without its header, which holds the time that the run took.
tensors() {
  local header
  header=$(od -An -t u8 -N 8 "$1/checkpoint.safetensors")
  tail -c +$((header + 9)) "$1/checkpoint.safetensors"
}

# A result without what differs between machines and moments.
result() {
  grep -vE '"(seconds|peak_bytes)"' "$1/result.json"
}

# same_end FOLDER FOLDER: two runs that ended with the same bits.
same_end() {
  cmp <(tensors "$1") <(tensors "$2") && cmp <(result "$1") <(result "$2")
}
