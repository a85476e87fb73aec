package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
)

// risks are what a file does that is rarely meant: it stops an app, or makes a version active again that another one
// replaced. An intent file that is older than the last rollout does either. One sentence each.
func (sh *shell) risks(ctx context.Context, changes []change.Change) (risks []string) {
	for _, c := range changes {
		app, cluster, is := configKey(c.Key)
		if !is {
			continue
		}
		was, _, _ := change.Versions(c.Before)
		active, _, _ := change.Versions(c.After)
		switch {
		case was == "" || was == active:
		case active == "":
			risks = append(risks, fmt.Sprintf("%s %s stops in %s: no version is active any more", app, was, cluster))
		default:
			if seq := sh.replaced(ctx, c.Key, active); seq > 0 {
				risks = append(risks, fmt.Sprintf("%s goes back from %s to %s in %s, which commit %d replaced", app, was, active, cluster, seq))
			}
		}
	}
	return risks
}

// configKey takes the key of a config apart.
func configKey(key string) (app, cluster string, is bool) {
	part := strings.Split(key, "/")
	if len(part) != 4 || part[0] != "clusters" || part[3] != "config" {
		return "", "", false
	}
	return part[1], part[2], true
}

// replaced is the newest commit that made another version active in place of this one, or 0. A history that cannot be read
// knows of none.
func (sh *shell) replaced(ctx context.Context, key string, version intent.Name) uint64 {
	newer := uint64(0)
	for c, err := range sh.history().Commits(ctx, history.Query{Key: key, Values: true}) {
		if err != nil {
			return 0
		}
		for _, x := range c.Changes {
			if x.Key != key {
				continue
			}
			if active, _, _ := change.Versions(valueOf(x)); active == version {
				return newer
			}
			newer = c.Seq
		}
	}
	return 0
}

// mistyped says which version of the files has a status that nobody knows: with a letter missing in "active" the app
// would stop.
func mistyped(entries []intentfile.Entry) error {
	for _, e := range entries {
		if _, _, is := configKey(e.Key); !is || e.Delete {
			continue
		}
		config, _ := intent.Decode[intent.Config](e.Key, e.Value)
		for _, v := range config.Wanted() {
			status := config.Versions[v].Status
			if status.Known() {
				continue
			}
			meant := ""
			if near := flagline.Nearest(string(status), []string{string(intent.Active), string(intent.Prep), string(intent.Stopped)}); near != "" {
				meant = fmt.Sprintf(" (did you mean %q?)", near)
			}
			return fmt.Errorf("%s /versions/%s: status %q is unknown%s: nothing was written; --force writes it as prepared",
				e.Key, v, status, meant)
		}
	}
	return nil
}
