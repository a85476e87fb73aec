package change

import (
	"fmt"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

// Each row is one change on a node that runs v1 unless the row reports something else. The on_config rows match a real
// setlive: see its testdata/config.txtar.
func TestEffects_EachField_IsWhatAgentsDo(t *testing.T) {
	const config, deploy = `{"versions":{"v1":"active"}}`, `{"basedir":"/srv/a"}`
	digest := strings.Repeat("a", 64)
	reverted := intent.State{Want: "v2", Have: "v1", Phase: world.Reverted}
	for _, test := range []struct {
		name                 string
		config, deploy       string // before
		newConfig, newDeploy string // after; "" means unchanged
		installed            string
		live                 intent.State
		want                 string // agent action what; …
	}{
		{name: "another version", newConfig: `{"versions":{"v1":"prep","v2":"active"}}`, want: "preparer fetch v2; setlive restart v2"},
		{name: "another version that is installed", newConfig: `{"versions":{"v1":"prep","v2":"active"}}`, installed: "v1, v2", want: "setlive restart v2"},
		{name: "a spare", newConfig: `{"versions":{"v1":"active","v2":"prep"}}`, want: "preparer fetch v2"},
		{name: "no version", newConfig: `{"versions":{"v1":"prep"}}`, want: "setlive stop v1"},
		{name: "no version, and nothing ran", config: `{"versions":{"v9":"active"}}`, newConfig: `{"versions":{}}`, live: intent.State{Want: "v9", Phase: "waiting"}, want: "preparer prune v9"},
		{name: "back to what runs", config: `{"versions":{"v1":"prep","v9":"active"}}`, newConfig: `{"versions":{"v1":"active"}}`, live: intent.State{Want: "v9", Have: "v1", Phase: "waiting"}, want: "preparer prune v9"},
		{name: "back to what runs after a revert", config: `{"versions":{"v1":"prep","v2":"active"}}`, newConfig: `{"versions":{"v1":"active","v2":"prep"}}`, installed: "v1, v2", live: reverted, want: ""},
		{name: "on from what runs after a revert", config: `{"versions":{"v1":"prep","v2":"active"}}`, newConfig: `{"versions":{"v1":"prep","v2":"prep","v3":"active"}}`, installed: "v1, v2, v3", live: reverted, want: "setlive restart v3"},
		{name: "what was refused is tried again", config: `{"versions":{"v2":"active"}}`, newConfig: `{"versions":{"v2":"active"},"user_config":{"a":1}}`, installed: "v1, v2", live: reverted, want: "setlive restart v2"},
		{name: "what was refused is not tried again for a spare", config: `{"versions":{"v2":"active"}}`, newConfig: `{"versions":{"v2":"active"},"min_nodes":1}`, installed: "v1, v2", live: reverted, want: ""},
		{name: "nothing runs yet", config: `{"versions":{"v1":"prep"}}`, newConfig: `{"versions":{"v1":"active"}}`, live: intent.State{Phase: world.Converged}, want: "setlive start v1"},
		{name: "user_config", newConfig: `{"versions":{"v1":"active"},"user_config":{"a":2}}`, want: "setlive restart v1"},
		{name: "user_config, the same in another order", config: `{"versions":{"v1":"active"},"user_config":{"a":1,"b":2}}`, newConfig: `{"versions":{"v1":"active"},"user_config":{"b":2,"a":1}}`, want: ""},
		{name: "user_config with a signal", config: `{"versions":{"v1":"active"},"on_config":"signal:HUP"}`, newConfig: `{"versions":{"v1":"active"},"on_config":"signal:HUP","user_config":{"a":2}}`, want: "setlive signal HUP"},
		{name: "user_config with nothing", config: `{"versions":{"v1":"active"},"on_config":"signal:HUP","user_config":{"a":2}}`, newConfig: `{"versions":{"v1":"active"},"on_config":"nothing","user_config":{"a":3}}`, want: "setlive rewrite v1"},
		{name: "only on_config, from nothing", config: `{"versions":{"v1":"active"},"on_config":"nothing"}`, newConfig: `{"versions":{"v1":"active"},"on_config":"restart"}`, want: "setlive restart v1"},
		{name: "only on_config, to nothing", newConfig: `{"versions":{"v1":"active"},"on_config":"nothing"}`, want: ""},
		{name: "min_nodes", newConfig: `{"versions":{"v1":"active"},"min_nodes":2}`, want: ""},
		{name: "a first digest", newConfig: `{"versions":{"v1":{"status":"active","sha256":"` + digest + `"}}}`, want: ""},
		{name: "another digest", config: `{"versions":{"v1":{"status":"active","sha256":"` + strings.Repeat("b", 64) + `"}}}`, newConfig: `{"versions":{"v1":{"status":"active","sha256":"` + digest + `"}}}`, want: "preparer refuse v1"},
		{name: "run_as", newDeploy: `{"basedir":"/srv/a","run_as":"app"}`, want: "setlive restart v1"},
		{name: "run_as, whatever on_config", config: `{"versions":{"v1":"active"},"on_config":"nothing"}`, newDeploy: `{"basedir":"/srv/a","run_as":"app"}`, want: "setlive restart v1"},
		{name: "basedir", newDeploy: `{"basedir":"/srv/b"}`, want: "preparer fetch v1; setlive restart v1"},
		{name: "stop_timeout", newDeploy: `{"basedir":"/srv/a","stop_timeout":"20s"}`, want: "setlive rewrite v1"},
		{name: "health", newDeploy: `{"basedir":"/srv/a","health":{"type":"tcp","port":80}}`, want: "setlive check v1"},
		{name: "ports", newDeploy: `{"basedir":"/srv/a","ports":[80]}`, want: "port-authority open 80/tcp"},
		{name: "keep, fewer", newDeploy: `{"basedir":"/srv/a","keep":1}`, want: "preparer prune "},
		{name: "keep, more", newDeploy: `{"basedir":"/srv/a","keep":9}`, want: ""},
		{name: "require", newDeploy: `{"basedir":"/srv/a","require":"digest"}`, want: ""},
		{name: "an invalid value", newConfig: `{"versions":7}`, want: "every agent keep "},
	} {
		t.Run(test.name, func(t *testing.T) {
			or := func(text, otherwise string) []byte {
				if text == "" {
					return []byte(otherwise)
				}
				return []byte(text)
			}
			now := world.Snapshot{Reports: map[world.AgentID]intent.Report{}, Alive: map[world.AgentID]bool{}}
			now.Tree, _ = intent.ParseRoot("platypus")
			before, beforeDeploy := or(test.config, config), or(test.deploy, deploy)
			now = now.Apply([]world.Edit{{Key: "nodes/n/a", Value: []byte(`{"cluster":"p"}`)},
				{Key: "clusters/a/p/config", Value: before}, {Key: "clusters/a/p/deploy_config", Value: beforeDeploy}})
			live := test.live
			if live.Phase == "" {
				live = intent.State{Want: "v1", Have: "v1", Phase: world.Converged}
			}
			now.Reports[world.AgentID{Agent: world.Setlive, Node: "n"}] = intent.Report{Subjects: map[string]intent.State{"a": live}}
			now.Reports[world.AgentID{Agent: world.Preparer, Node: "n"}] = intent.Report{Subjects: map[string]intent.State{"a": {Have: string(or(test.installed, "v1"))}}}
			after := now.Apply([]world.Edit{{Key: "clusters/a/p/config", Value: or(test.newConfig, string(before))},
				{Key: "clusters/a/p/deploy_config", Value: or(test.newDeploy, string(beforeDeploy))}})
			var said []string
			for _, e := range Effects(now, after) {
				said = append(said, fmt.Sprintf("%s %s %s", e.Agent, e.Action, e.What))
			}
			if got := strings.Join(said, "; "); got != test.want {
				t.Errorf("announced %q, agents do %q", got, test.want)
			}
		})
	}
}
