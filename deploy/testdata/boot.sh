#!/bin/sh
# boot.sh systemd|runit NAME SCRATCH: becomes an init that runs as PID 1 of namespaces its caller made (mount, process,
# IPC, host name, network). It sees this machine's files through a layer that takes all writes and goes away with it;
# its network is a loopback. NAME is that of its cgroup, SCRATCH an empty folder.
set -e
init=$1 name=$2 scratch=$3
mount --make-rprivate /
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$scratch/root"
cd "$scratch/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p run/lock old
# Only what the test wants to see is started: no timers, no services that this machine has enabled.
rm -rf etc/fstab usr/sbin/policy-rc.d etc/systemd/system etc/service
mkdir -p etc/systemd/system etc/service
for wants in sysinit local-fs timers multi-user graphical getty; do
	[ ! -d "lib/systemd/system/$wants.target.wants" ] || mount -t tmpfs tmpfs "lib/systemd/system/$wants.target.wants"
done
ip link set lo up
if [ "$init" = runit ]; then
	pivot_root . old
	umount -l /old
	exec runsvdir -P /etc/service
fi
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir "sys/fs/cgroup/$name"
echo 0 >"sys/fs/cgroup/$name/cgroup.procs"
pivot_root . old
cd /
exec unshare --cgroup sh -c '
	umount /sys/fs/cgroup
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	umount -l /old
	# A systemd with a machine of its own does this itself; it is how credentials reach a service.
	mount --make-rshared /
	container=other exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --log-level=warning --show-status=no
'
