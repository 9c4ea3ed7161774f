#!/usr/bin/env bash
# Proves that the commands set everything up on a fresh machine: Debian with Python, git and make.
# Runs them from a clone of HEAD, as root and as an ordinary user, in containers without a Docker engine inside.
#   tests/clean/prove.sh            needs Docker
#   QUICK=1 tests/clean/prove.sh    leaves out `make test-quick` and `make journey`
set -euo pipefail
cd "$(dirname "$0")/../.."

image=clew-clean:latest
name=clew-clean-$$
work=$(mktemp -d)
log=$work/log
authorities=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
began=$SECONDS

clean_up() {
    docker rm --force --volumes "$name-root" "$name-learner" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

step() { # TITLE SECONDS COMMAND...
    local title=$1 seconds=$2 started=$SECONDS status=0
    shift 2
    timeout --foreground "$seconds" "$@" >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        tail -n 60 "$log"
        [ "$status" -ne 124 ] || echo "stopped after $seconds s"
        echo "failed: $title ($((SECONDS - started)) s)"
        exit 1
    fi
    printf '%5d s  %s\n' $((SECONDS - started)) "$title"
}

start() { # USER
    step "$1: start" 60 docker run --detach --init --name "$name-$1" --user "$1" \
        --security-opt no-new-privileges --env HTTP_PROXY --env HTTPS_PROXY --env NO_PROXY "${trust[@]}" \
        "$image" sleep 7200
    timeout --foreground 60 docker cp "$work/clew.bundle" "$name-$1:/clew.bundle" 2>"$log"
    if [ -s "$authorities" ]; then
        timeout --foreground 60 docker cp --follow-link "$authorities" "$name-$1:/host-ca.crt" 2>"$log"
    fi
}

on() { # USER SECONDS COMMAND
    step "$1: $3" "$2" docker exec "$name-$1" bash -c "cd && $3"
}

secret=() trust=()
if [ -s "$authorities" ]; then
    secret=(--secret "id=host-ca,src=$authorities")
    trust=(--env PIP_CERT=/host-ca.crt --env SSL_CERT_FILE=/host-ca.crt)
fi
if ! docker version >/dev/null 2>&1; then
    printf 'No Docker engine answers, and this proof needs one.\nNext: docker info\n' >&2
    exit 1
fi
if [ -n "$(git status --porcelain)" ]; then
    echo "Only what is committed is proven; there are uncommitted changes."
fi
git bundle create --quiet "$work/clew.bundle" HEAD
chmod 0644 "$work/clew.bundle"

step "a base image" 1200 env PYTHONPATH=stack python3 -B -c '
from clew.provision import ensure_base_image, ensure_compose
ensure_compose(print)
print(ensure_base_image(print))'
base=$(tail -n 1 "$log")
step "a fresh machine, from $base" 600 docker build "${secret[@]}" --build-arg "BASE=$base" --tag "$image" \
    --file tests/clean/Dockerfile tests/clean

for user in root learner; do
    start "$user"
    on "$user" 60 "git clone --quiet /clew.bundle clew"
    on "$user" 600 "cd clew && make stage-3 up trace"
    on "$user" 120 "cd clew && make stage-3 down"
    if [ "$user" = root ] && [ -z "${QUICK:-}" ]; then
        # What needs a running stack is tested on the machine itself; here setting up counts, and another Python.
        on root 1200 "cd clew && make test-quick"
        on root 600 "cd clew && make journey"
    fi
done
echo "A fresh machine is enough, with root and without ($((SECONDS - began)) s)."
