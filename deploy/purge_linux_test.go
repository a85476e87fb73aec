package deploy_test

// runApp starts an app through the agents of a host under systemd.
func runApp(h host) {
	h.t.Helper()
	h.run(`mkdir -p /srv/slug/installs/slug_v1/bin && printf '#!/bin/sh\nexec sleep 1000\n' >/srv/slug/installs/slug_v1/bin/launch &&
		chmod 755 /srv/slug/installs/slug_v1/bin/launch && echo '{}' >/srv/slug/installs/slug_v1/.platypus.json`)
	h.run(`cat >/tmp/slug.json <<-END
		{"nodes/$(hostname)/slug":{"cluster":"p"},"clusters/slug/p/config":{"versions":{"v1":"active"}},"clusters/slug/p/deploy_config":{"basedir":"/srv/slug"}}
	END
	platypus apply --yes /tmp/slug.json`)
	h.wait("systemctl is-active platypus-slug")
}

// checkAppOutlivesPurge purges the package while an app runs: systemd still restarts the app. Then the app is removed
// by hand.
func checkAppOutlivesPurge(h host) {
	h.t.Helper()
	h.run("dpkg --purge platypus")
	h.run("systemctl is-active platypus-slug && kill -9 $(systemctl show -P MainPID platypus-slug)")
	h.wait("[ $(systemctl show -P NRestarts platypus-slug) -ge 1 ] && systemctl is-active platypus-slug && kill -0 $(systemctl show -P MainPID platypus-slug)")
	if status := h.run("systemctl show -P ExecMainStatus platypus-slug"); status != "0" {
		h.t.Errorf("after a purge the app ends with status %s", status)
	}
	if left := h.run("ls /var/lib/platypus"); left != "services" {
		h.t.Errorf("after a purge /var/lib/platypus holds %q, want what the app runs alone", left)
	}
	h.run("systemctl disable --now platypus-slug; rm -r /etc/systemd/system/platypus-slug.service /srv/slug; systemctl daemon-reload")
}
