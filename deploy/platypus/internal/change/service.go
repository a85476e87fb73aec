package change

import (
	"bytes"
	"reflect"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

// liveState is what setlive last reported about an app on a node.
type liveState struct {
	intent.State
	reported bool // false without a report: then the previous intent is taken for what runs
}

func (e comparison) liveState() liveState {
	report, reported := e.snapshot.Reports[world.AgentID{Agent: world.Setlive, Node: e.node}]
	return liveState{report.Subjects[string(e.before.Name)], reported && e.existed}
}

// rejected reports whether the node rolled back from a version or gave it up. It tries again when the intent changes.
func (r liveState) rejected(version intent.Name) bool {
	return r.reported && (r.Phase == world.Reverted || r.Phase == world.Failing) && r.Want == string(version)
}

// serviceEffects returns what setlive will do to the process of the app.
func (e comparison) serviceEffects() (effects []Effect) {
	var old, active intent.Name
	if e.existed {
		old, _ = e.before.Config.Active()
	}
	if e.exists {
		active, _ = e.after.Config.Active()
	}
	one := func(action string, what intent.Name, reason string) []Effect {
		return []Effect{e.newEffect(world.Setlive, action, string(what), reason)}
	}
	runs := e.liveState()
	have := intent.Name(runs.Have)
	if !runs.reported {
		have = old
	}
	switch {
	case old == "" && active == "" && have == "":
		return nil
	case active == "":
		if have == "" && (runs.Phase == "" || runs.Phase == "waiting") {
			return nil // it never ran
		}
		return one("stop", textOr(have, old), "no version is active any more")
	case old == active && runs.rejected(active):
		if changed := e.retryReasons(active); len(changed) > 0 {
			return one("restart", active, "it was refused before and is tried again: "+strings.Join(changed, ", ")+" changed")
		}
		return nil
	case have == active:
		return e.configEffects(active)
	case old == active:
		return nil // it is starting already and will read the newest settings
	case have == "":
		return one("start", active, "it becomes the active version")
	case have != old && old != "":
		return one("restart", active, string(have)+" runs there, though "+string(old)+" was the active version")
	}
	return one("restart", active, "the active version was "+string(have))
}

// configEffects returns what the process of the active version notices of a change.
func (e comparison) configEffects(active intent.Name) (effects []Effect) {
	add := func(action, what, reason string) {
		effects = append(effects, e.newEffect(world.Setlive, action, what, reason))
	}
	settings := e.changedSettings()
	config := !bytes.Equal(intent.SettleConfig(e.before.Config.UserConfig), intent.SettleConfig(e.after.Config.UserConfig))
	policy := e.after.Config.OnConfig
	signal, signals := policy.Signal()
	switch policy.Reaction(len(settings) > 0, config) {
	case intent.ReactionRestart:
		if len(settings) == 0 {
			settings = []string{"user_config"}
		}
		reason := strings.Join(settings, ", ") + " changed"
		if len(settings) == 1 && settings[0] == restartMember {
			reason = "a restart is asked for"
		}
		add("restart", string(active), reason)
	case intent.ReactionSignal:
		add("signal", signal, "user_config changed, and on_config is "+string(policy))
	case intent.ReactionFile:
		add("rewrite", string(active), "user_config changed; it is not restarted, for on_config is nothing")
	case intent.ReactionNone:
		if e.before.Config.OnConfig == intent.OnConfigNothing && policy != intent.OnConfigNothing {
			// The process may not have been restarted for the user_config in its file: only the node knows.
			const reason = "if its user_config changed since it started, now that on_config is not nothing"
			if signals {
				add("signal", signal, reason)
			} else {
				add("restart", string(active), reason)
			}
		}
	}
	if e.before.Deploy.StopTimeout.Or(intent.DefaultStopTimeout) != e.after.Deploy.StopTimeout.Or(intent.DefaultStopTimeout) {
		add("rewrite", string(active), "stop_timeout changed; nothing is restarted for it")
	}
	if !reflect.DeepEqual(e.before.Deploy.Health, e.after.Deploy.Health) {
		add("check", string(active), "health changed: the new check applies; nothing is restarted for it")
	}
	return effects
}

func textOr(name, otherwise intent.Name) intent.Name {
	if name != "" {
		return name
	}
	return otherwise
}

// restartMember is the member of a config by which platypus restart requests a new process.
const restartMember = "restart"

// changedSettings returns the changed settings, other than user_config, that a process gets at its start.
func (e comparison) changedSettings() (changed []string) {
	if e.before.Deploy.Basedir != e.after.Deploy.Basedir {
		changed = append(changed, "basedir")
	}
	if e.before.Deploy.RunAs != e.after.Deploy.RunAs {
		changed = append(changed, "run_as")
	}
	if e.before.Config.Restart != e.after.Config.Restart {
		changed = append(changed, restartMember)
	}
	return changed
}

// retryReasons returns the changes that make a node retry a version that it rejected.
func (e comparison) retryReasons(active intent.Name) []string {
	changed := e.changedSettings()
	add := func(differs bool, what string) {
		if differs {
			changed = append(changed, what)
		}
	}
	add(!bytes.Equal(e.before.Config.UserConfig, e.after.Config.UserConfig), "user_config")
	add(e.before.Config.OnConfig != e.after.Config.OnConfig, "on_config")
	add(e.before.Config.Versions[active] != e.after.Config.Versions[active], "sha256")
	add(e.before.Deploy.StopTimeout != e.after.Deploy.StopTimeout, "stop_timeout")
	add(!reflect.DeepEqual(e.before.Deploy.Health, e.after.Deploy.Health), "health")
	return changed
}
