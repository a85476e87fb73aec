package change

import (
	"bytes"
	"reflect"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

// running is what setlive last reported of an app on a node.
type running struct {
	intent.State
	known bool // a report is there: without one, what intent said before is taken for what runs
}

func (e effect) running() running {
	report, reported := e.world.Reports[world.Who{Agent: world.Setlive, Node: e.node}]
	return running{report.Subjects[string(e.was.Name)], reported && e.had}
}

// refused reports whether the node went back from a version, or gave it up: it is tried again when its intent changes.
func (r running) refused(version intent.Name) bool {
	return r.known && (r.Phase == world.Reverted || r.Phase == world.Failing) && r.Want == string(version)
}

// service is what setlive will do to the process of the app.
func (e effect) service() (effects []Effect) {
	var old, active intent.Name
	if e.had {
		old, _ = e.was.Config.Active()
	}
	if e.has {
		active, _ = e.is.Config.Active()
	}
	one := func(action string, what intent.Name, reason string) []Effect {
		return []Effect{e.make(world.Setlive, action, string(what), reason)}
	}
	runs := e.running()
	have := intent.Name(runs.Have)
	if !runs.known {
		have = old
	}
	switch {
	case old == "" && active == "" && have == "":
		return nil
	case active == "":
		if have == "" && (runs.Phase == "" || runs.Phase == "waiting") {
			return nil // nothing of it ever ran
		}
		return one("stop", orElse(have, old), "no version is active any more")
	case old == active && runs.refused(active):
		if changed := e.goalChanges(active); len(changed) > 0 {
			return one("restart", active, "it was refused before and is tried again: "+strings.Join(changed, ", ")+" changed")
		}
		return nil
	case have == active:
		return e.reaction(active)
	case old == active:
		return nil // it is on its way already, and gets the newest settings when it starts
	case have == "":
		return one("start", active, "it becomes the active version")
	case have != old && old != "":
		return one("restart", active, string(have)+" runs there, though "+string(old)+" was the active version")
	}
	return one("restart", active, "the active version was "+string(have))
}

// reaction is what the process that runs the active version notices of a change.
func (e effect) reaction(active intent.Name) (effects []Effect) {
	add := func(action, what, reason string) {
		effects = append(effects, e.make(world.Setlive, action, what, reason))
	}
	settings := e.settingsChanges()
	config := !bytes.Equal(intent.SettleConfig(e.was.Config.UserConfig), intent.SettleConfig(e.is.Config.UserConfig))
	policy := e.is.Config.OnConfig
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
		if e.was.Config.OnConfig == intent.OnConfigNothing && policy != intent.OnConfigNothing {
			// Its file may hold a user_config that the process was not restarted for: only the node knows.
			const reason = "if its user_config changed since it started, now that on_config is not nothing"
			if signals {
				add("signal", signal, reason)
			} else {
				add("restart", string(active), reason)
			}
		}
	}
	if e.was.Deploy.StopTimeout.Or(intent.DefaultStopTimeout) != e.is.Deploy.StopTimeout.Or(intent.DefaultStopTimeout) {
		add("rewrite", string(active), "stop_timeout changed; nothing is restarted for it")
	}
	if !reflect.DeepEqual(e.was.Deploy.Health, e.is.Deploy.Health) {
		add("check", string(active), "health changed: the new check applies; nothing is restarted for it")
	}
	return effects
}

func orElse(name, otherwise intent.Name) intent.Name {
	if name != "" {
		return name
	}
	return otherwise
}

// restartMember is the member of a config by which platypus restart asks for a new process.
const restartMember = "restart"

// settingsChanges are the settings beside user_config that a process gets at its start, as far as they change.
func (e effect) settingsChanges() (changed []string) {
	if e.was.Deploy.Basedir != e.is.Deploy.Basedir {
		changed = append(changed, "basedir")
	}
	if e.was.Deploy.RunAs != e.is.Deploy.RunAs {
		changed = append(changed, "run_as")
	}
	if e.was.Config.Restart != e.is.Config.Restart {
		changed = append(changed, restartMember)
	}
	return changed
}

// goalChanges is everything that makes a node try a version again that it refused.
func (e effect) goalChanges(active intent.Name) []string {
	changed := e.settingsChanges()
	add := func(differs bool, what string) {
		if differs {
			changed = append(changed, what)
		}
	}
	add(!bytes.Equal(e.was.Config.UserConfig, e.is.Config.UserConfig), "user_config")
	add(e.was.Config.OnConfig != e.is.Config.OnConfig, "on_config")
	add(e.was.Config.Versions[active] != e.is.Config.Versions[active], "sha256")
	add(e.was.Deploy.StopTimeout != e.is.Deploy.StopTimeout, "stop_timeout")
	add(!reflect.DeepEqual(e.was.Deploy.Health, e.is.Deploy.Health), "health")
	return changed
}
