# Shared by the scripts beside it; sourced, after `set -euo pipefail`.

# Exit status of a step that could not be run here; the reason is on its last line.
readonly SKIPPED=77

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${CARGO_TARGET_DIR:-$root/target}/release
cache=${CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/prebound-ci}
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$cache"

skip() {
  echo "skipped: $*"
  exit $SKIPPED
}

fail() {
  echo "failed: $*" >&2
  exit 1
}

# cargo_tool NAME VERSION: a program of crates.io, built once into the cache unless it is installed.
cargo_tool() {
  PATH=$PATH:$cache/$1/bin
  if command -v "$1" >/dev/null; then return; fi
  cargo install "$1" --version "$2" --locked --quiet --root "$cache/$1" >"$scratch/install.log" 2>&1 \
    || { cat "$scratch/install.log" >&2; skip "$1 cannot be installed"; }
}

# The lab and the conformance scenarios lie beside the repository, also when this is one of its work trees.
shared() {
  local place
  for place in "${SHARED:-}" "$root/../shared" "$(git -C "$root" rev-parse --git-common-dir 2>/dev/null)/../../shared"; do
    if [ -n "$place" ] && [ -d "$place/bench" ]; then
      (cd "$place" && pwd)
      return
    fi
  done
  return 1
}

# A directory that is gone when the script ends, unless it failed and left something; `cleanup` is for the caller to fill.
scratch=$(mktemp -d)
cleanup() { :; }
at_exit() {
  local status=$?
  cleanup
  if [ $status -eq 0 ] || [ $status -eq $SKIPPED ]; then rm -rf "$scratch"; fi
  rmdir "$scratch" 2>/dev/null || [ ! -d "$scratch" ] || echo "kept: $scratch" >&2
}
trap at_exit EXIT
