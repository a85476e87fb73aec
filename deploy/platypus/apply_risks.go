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

// findRisks returns changes that are rarely intended, one sentence each: stopping an app, or reactivating a replaced
// version. A file older than the last rollout does either.
func (cmd *command) findRisks(ctx context.Context, changes []change.Change) (risks []string) {
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
			if seq := cmd.replacedBy(ctx, c.Key, active); seq > 0 {
				risks = append(risks, fmt.Sprintf("%s goes back from %s to %s in %s, which commit %d replaced", app, was, active, cluster, seq))
			}
		}
	}
	return risks
}

// configKey splits the key of a config.
func configKey(key string) (app, cluster string, is bool) {
	part := strings.Split(key, "/")
	if len(part) != 4 || part[0] != "clusters" || part[3] != "config" {
		return "", "", false
	}
	return part[1], part[2], true
}

// replacedBy returns the newest commit that activated another version in place of this one, or 0, also if the history
// cannot be read.
func (cmd *command) replacedBy(ctx context.Context, key string, version intent.Name) uint64 {
	newer := uint64(0)
	for c, err := range cmd.history().Commits(ctx, history.Query{Key: key, Values: true}) {
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

// checkStatuses reports an unknown status of a version: a typing error in "active" would stop the app.
func checkStatuses(entries []intentfile.Entry) error {
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
