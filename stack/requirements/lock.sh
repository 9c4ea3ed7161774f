#!/bin/sh
# Pin the dependency groups of pyproject.toml, with hashes and without index lines, one file a group.
set -eu
cd "$(dirname "$0")/../.."

tool=.clew/lock
[ -x "$tool/bin/uv" ] || { python3 -m venv "$tool" && "$tool/bin/pip" install --quiet uv; }

pinned=""
for group in run watch sql otel notebooks docs test delivery load bench; do
  # shellcheck disable=SC2086
  "$tool/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
    --group "$group" $pinned --output-file "stack/requirements/$group.txt"
  pinned="$pinned --constraint stack/requirements/$group.txt"
done
