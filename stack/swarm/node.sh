# Starts the node's engine. With it started again, as after a reboot, the old process's files are in the way.
# overlay2 needs /var/lib/docker to be a volume. The stages' `no-new-privileges` is set here for all containers, because
# `docker stack deploy` ignores it.
mount -o remount,rw /proc/sys
rm -rf /run/docker.pid /run/docker.sock /run/docker /run/containerd
exec dockerd --storage-driver=overlay2 --no-new-privileges --cgroup-parent="/$CGROUP"
