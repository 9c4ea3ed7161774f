# One node of a Swarm on this machine: a Docker engine of its own, from Debian's packages.
ARG BASE=debian:trixie-slim
FROM ${BASE}

RUN --mount=type=secret,id=host-ca \
    ca=/run/secrets/host-ca; [ -s "$ca" ] || ca=; \
    set -eux; \
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; \
    chmod +x /usr/sbin/policy-rc.d; \
    apt-get ${ca:+-o Acquire::https::CAInfo=$ca} update; \
    DEBIAN_FRONTEND=noninteractive apt-get ${ca:+-o Acquire::https::CAInfo=$ca} install --yes --no-install-recommends \
        docker.io docker-cli iptables iproute2; \
    apt-get clean; \
    rm -rf /var/lib/apt/lists/*

COPY node.sh /
CMD ["bash", "/node.sh"]
