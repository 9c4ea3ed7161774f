#!/bin/sh
# Makes a new password for each role that stack/redis/users.acl knows, and one for Flower's login, in the files that
# base/shared/kustomization.yaml reads.
set -eu
umask 077
cd "$(dirname "$0")/base/shared"
for file in api/redis-password worker/redis-password flower/redis-password metrics/redis-password operator/redis-password \
    flower/web-password; do
    mkdir -p "secrets/${file%/*}"
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"secrets/$file"
done
