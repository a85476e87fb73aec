package main

import (
	"errors"
	"fmt"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
)

// foreignVerbs maps verbs of other tools to the equivalent here: another verb, or a key of intent.
var foreignVerbs = func() map[string]string {
	words := map[string]string{}
	for _, answer := range []struct {
		text  string
		words []string
	}{
		{"platypus rollout APP VERSION --wait brings a version live; platypus apply FILE declares what a file says",
			[]string{"deploy", "upgrade", "update", "bluegreen", "canary", "promote", "push", "ship"}},
		{"an app runs on every node that has a key nodes/NODE/APP: apply a file with more or fewer of them; for seeds it is " +
			"platypus seed FILE NAME --min-replicas N, for vms platypus launch --count N",
			[]string{"scale", "autoscale", "resize", "replicas"}},
		{"there is none: ssh to the node; an app's files are below its basedir, at current/",
			[]string{"exec", "ssh", "shell", "console", "attach", "sh", "bash", "sftp", "cp", "scp", "proxy", "port-forward"}},
		{"apply a file in which the key is null, such as {\"nodes/NODE/APP\": null}, and --yes; platypus stop APP keeps it installed; " +
			"platypus release VM gives a vm up",
			[]string{"destroy", "delete", "rm", "remove", "uninstall", "undeploy", "purge", "drop"}},
		{"environment and settings of an app are user_config in clusters/APP/CLUSTER/config: platypus export APP > FILE, edit it, " +
			"platypus apply FILE; for seeds it is platypus seed FILE NAME --env NAME=VALUE",
			[]string{"env", "config", "vars", "var", "set", "unset", "setenv", "configure", "edit"}},
		{"the store is clear text and no place for secrets: keep each in a file on the node that only the app's user may read, and its " +
			"path in user_config",
			[]string{"secret", "secrets", "vault", "password"}},
		{"platypus dev FILE starts a store and the agents on this machine; platypus apply FILE declares what a file says",
			[]string{"up", "compose", "local"}},
		{"platypus stop APP stops an app on every node; Ctrl-C ends platypus dev", []string{"down", "kill", "halt", "shutdown", "disable"}},
		{"platypus start APP starts an app that was stopped", []string{"enable", "boot"}},
		{"platypus restart APP restarts an app on every node", []string{"redeploy", "bounce", "reload", "recycle"}},
		{"platypus status shows every app on every node; platypus vms the vms, platypus machines the machines",
			[]string{"ps", "top", "list", "apps", "jobs", "job", "services", "allocs", "alloc", "nodes", "node", "dashboard", "get"}},
		{"platypus rollout APP VERSION runs a version of an app; platypus call SEED FUNCTION calls a seed",
			[]string{"run", "invoke", "trigger"}},
		{"platypus logs APP shows what an app on this host printed", []string{"tail", "journal", "journalctl"}},
		{"platypus why APP explains an app, agent by agent; platypus explain VM explains a vm or a seed",
			[]string{"describe", "info", "inspect", "debug", "events"}},
		{"platypus fork NAME makes a tree of its own to rehearse a change in", []string{"branch", "clone", "copy"}},
		{"platypus join NAME brings what changed in a fork back", []string{"merge", "rebase", "pull"}},
		{"platypus --root platypus/forks/NAME/ VERB works in a fork", []string{"checkout", "switch", "use"}},
		{"platypus revert COMMIT takes back what one commit changed; platypus log lists them; platypus rollback APP makes the version " +
			"before active",
			[]string{"undo", "unapply"}},
		{"platypus restore PREFIX/@POINT puts keys back to what they were", []string{"reset", "recover"}},
		{"platypus apply -m WHY FILE writes a commit", []string{"commit", "save", "put", "create", "register", "add"}},
		{"platypus tag NAME names what is declared now; platypus history export writes all of the history for git",
			[]string{"backup", "snapshot", "dump"}},
		{"platypus hold KEY keeps others from changing a key; platypus stop APP stops an app", []string{"lock", "freeze", "pause", "suspend"}},
		{"platypus hold --delete KEY ends a hold; platypus start APP starts an app", []string{"unlock", "unfreeze", "resume", "unpause"}},
		{"platypus validate FILE finds mistakes; platypus plan FILE shows what would change", []string{"lint", "check", "test", "preview"}},
		{"platypus init writes a first intent directory", []string{"new", "setup", "scaffold", "generate"}},
		{"platypus acl WHO prints the Consul policy that a token needs", []string{"login", "auth", "token", "policy", "policies"}},
		{"platypus store serves the store of one machine; each agent is a program of its own: preparer, port-authority, setlive",
			[]string{"agent", "server", "serve", "consul"}},
	} {
		for _, w := range answer.words {
			words[w] = answer.text
		}
	}
	return words
}()

// foreignVerbHint answers a verb of another tool; any other error stays unchanged.
func foreignVerbHint(err error) error {
	var unknown flagline.UnknownVerbError
	if errors.As(err, &unknown) && foreignVerbs[unknown.Verb] != "" {
		return fmt.Errorf("there is no verb %q: %s", unknown.Verb, foreignVerbs[unknown.Verb])
	}
	return err
}
