#!/bin/sh
# Adds the site of this version to the branch gh-pages, as MAJOR.MINOR and as `latest`. Older versions stay as they are.
set -eu
version=${GITHUB_REF_NAME#v}
python3 stack/bootstrap.py run docs delivery
export PATH="$PWD/.venv/bin:$PATH" NO_MKDOCS_2_WARNING=1
git config user.name "github-actions[bot]"
git config user.email "github-actions[bot]@users.noreply.github.com"
git fetch --depth=1 origin gh-pages:gh-pages || echo "There is no gh-pages yet: this is the first version."
mike deploy --config-file mkdocs-versions.yml --push --update-aliases "${version%.*}" latest
mike set-default --config-file mkdocs-versions.yml --push latest
