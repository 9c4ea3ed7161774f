#!/bin/sh
# Makes a new password for Redis, in the files that base/shared/kustomization.yaml reads.
set -eu
umask 077
cd "$(dirname "$0")/base/shared"
mkdir -p secrets
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf %s "$password" > secrets/password
printf %s "redis://:$password@redis-broker:6379/0" > secrets/url
printf 'user default on >%s ~* &* +@all\n' "$password" > secrets/users.acl
