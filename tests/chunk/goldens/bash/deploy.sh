#!/usr/bin/env bash
#
# Deploys a release: builds, uploads, switches the link.

set -euo pipefail

readonly ROOT="$(cd "$(dirname "$0")" && pwd)"
KEEP=${KEEP:-5}
declare -A HOSTS=([web]=10.0.0.1 [db]=10.0.0.2)

# Prints to stderr, with the time.
log() {
  printf '%s %s\n' "$(date +%T)" "$*" >&2
}

die() { log "$@"; exit 1; }

# Builds the release named $1.
#
# Sets ARCHIVE.
function build {
  local name="$1"
  ( cd "$ROOT" && make dist )
  ARCHIVE="$ROOT/dist/$name.tar.gz"
  [[ -f $ARCHIVE ]] || die "no archive"
}

function upload() {
  local host
  for host in "${!HOSTS[@]}"; do
    scp "$ARCHIVE" "${HOSTS[$host]}:/srv/" || {
      log "retrying $host"
      sleep 1
      scp "$ARCHIVE" "${HOSTS[$host]}:/srv/"
    }
  done
}

in_subshell() (
  cd /tmp
  ls
)

usage() {
  cat <<EOF
usage: deploy.sh NAME
not_a_function() {
}
EOF
}

if [ "${1:-}" = "-h" ]; then
  usage
  exit 0
fi

case "${1:-}" in
  rollback)
    # Only here when it is needed.
    rollback() {
      ln -sfn "$2" current
    }
    rollback "$@"
    ;;
esac

trap 'log "failed on line $LINENO"' ERR

build "${1:?name}"
upload
log "kept $KEEP"
