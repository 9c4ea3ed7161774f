#!/bin/sh
# Builds and pushes the image of the services and one for each stage, and signs each by its digest.
# `make sbom` has been run before; what the variables mean is in RELEASING.md.
set -eu
for name in REGISTRY REPOSITORY ACTOR TOKEN GITHUB_REF_NAME; do
    eval "value=\${$name:-}"
    if [ -z "$value" ]; then
        printf '%s is not set.\nNext: set it as RELEASING.md says\n' "$name"
        exit 2
    fi
done
image=$(printf '%s/%s' "$REGISTRY" "$REPOSITORY" | tr '[:upper:]' '[:lower:]') # registries refuse capitals
version=${GITHUB_REF_NAME#v}
metadata=$(mktemp)

publish() { # TAG OPTION...
    tag=$1
    shift
    docker buildx build --push --sbom=true --provenance=mode=max --metadata-file "$metadata" --tag "$image:$tag" "$@"
    digest=$(sed -n 's/.*"containerimage.digest": *"\(sha256:[0-9a-f]*\)".*/\1/p' "$metadata")
    [ -n "$digest" ]
    cosign sign --yes "$image@$digest"
    cosign attest --yes --type cyclonedx --predicate dist/clew.cdx.json "$image@$digest"
    echo "$image:$tag@$digest"
}

printf %s "$TOKEN" | docker login "$REGISTRY" --username "$ACTOR" --password-stdin
docker buildx create --use # the default builder cannot attach what --sbom and --provenance make
publish "$version" stack
base=$image@$digest
for folder in stages/*/; do
    stage=$(basename "$folder")
    publish "$version-$stage" --file stack/kubernetes/Dockerfile \
        --build-arg "STACK=$base" --build-arg "STAGE=$stage" .
done
