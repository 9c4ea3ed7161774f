# A stage as an image: in a Swarm no node has the folders that Compose mounts. Built in the folder stack/.., on clew-stack.
ARG BASE
FROM ${BASE}
ARG STAGE

COPY stack/health.sh /srv/stack/
COPY stack/taskqueue /srv/stack/taskqueue/
COPY stack/redis /srv/stack/redis/
COPY stack/nginx /srv/stack/nginx/
COPY stack/swarm/upstream.conf /srv/stack/nginx/
COPY stages/${STAGE} /srv/stage/

# With a variable, nginx asks for the servers' addresses again; with a name, once, when it starts.
USER root
RUN sed -i 's|http://fastapi_servers;|http://$fastapi_servers;|' /srv/stack/nginx/proxy.conf \
 && grep -qF 'http://$fastapi_servers;' /srv/stack/nginx/proxy.conf
USER 10001:10001
