#!/bin/sh
# Fails unless the tag that is being released is the version in pyproject.toml.
set -eu
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
if [ "${GITHUB_REF_NAME:-}" != "v$version" ]; then
    printf 'The tag is %s, and pyproject.toml has version %s.\nNext: git tag v%s\n' "${GITHUB_REF_NAME:-missing}" "$version" "$version"
    exit 1
fi
