package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
)

// group is the verbs of one subject.
type group struct {
	title string
	verbs []verb
}

// verbGroups are in the order in which a newcomer needs them, and so are the verbs of each.
func verbGroups() []group {
	return []group{
		{"Apps", []verb{initVerb(), validateVerb(), planVerb(), applyVerb(), exportVerb(), statusVerb(), whyVerb(), rolloutVerb(), rollbackVerb(),
			restartVerb(), stopVerb(), startVerb(), logsVerb()}},
		{"History", []verb{logVerb(), showVerb(), diffVerb(), blameVerb(), catVerb(), lsVerb(), revertVerb(), restoreVerb(), tagVerb(), holdVerb(),
			forkVerb(), joinVerb(), ancestorsVerb(), historyVerb()}},
		{"Fleet", []verb{importVerb(), regionsVerb(), machinesVerb(), launchVerb(), vmsVerb(), releaseVerb(), placeVerb(), explainVerb(),
			drainVerb(), cordonVerb(), uncordonVerb(), rebalanceVerb(), verifyVerb()}},
		{"Seeds and sites", []verb{seedVerb(), callVerb(), siteVerb(), blobVerb()}},
		{"This host and the store", []verb{devVerb(), storeVerb(), doctorVerb(), confirmVerb(), schemaVerb(), aclVerb(), completionVerb(), versionVerb()}},
	}
}

// verbs returns the verbs of all groups.
func verbs() (all []verb) {
	for _, g := range verbGroups() {
		all = append(all, g.verbs...)
	}
	return all
}

// appHelp returns the template of platypus help.
func appHelp() string {
	var list strings.Builder
	for _, g := range verbGroups() {
		fmt.Fprintf(&list, "\n%s:\n", g.title)
		for _, v := range g.verbs {
			fmt.Fprintf(&list, "  %-11s %s\n", v.name, v.usage)
		}
	}
	return `{{.Name}}: {{.Usage}}

Usage: platypus VERB [flags] [arguments]; platypus help VERB is the manual of one
` + list.String() + `
Flags of every verb (each also as PLATYPUS_…, and as Consul's own environment variables):{{range .VisibleFlags}}
  {{.}}{{end}}

Wherever a verb takes FILE, that is
  a JSON object of keys below intent/ to values: {"nodes/web1/slug": {"cluster": "production"}}
  a directory of <key>.json files: intent/nodes/web1/slug.json
  what consul kv export wrote
  - for standard input
A value of null means that the key is removed.

Exit codes: 0 done, 1 error, 2 changes pending or not converged, 64 mistake on the command line

Examples:
  platypus dev
  platypus plan slug.json
  platypus apply -m "slug to production" slug.json
  platypus status --watch
`
}

const verbHelp = `platypus {{.Name}}: {{.Usage}}

Usage: platypus {{.Name}} [flags]{{.ArgsUsage}}

{{.Description}}
{{if .VisibleFlags}}
Flags:{{range .VisibleFlags}}
  {{.}}{{end}}
{{end}}`

// helpCommand replaces the help command of the library and its texts.
func helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "list the verbs, or print the manual of one", ArgsUsage: " [VERB]",
		Description:        "Examples:\n  platypus help\n  platypus help rollout",
		CustomHelpTemplate: verbHelp, HideHelpCommand: true, Hidden: true,
		Action: func(c *cli.Context) error {
			word := c.Args().First()
			if word == "" {
				return cli.ShowAppHelp(c)
			}
			if c.App.Command(word) == nil {
				return usageError{foreignVerbHint(flagline.UnknownVerb(c.App, word))}
			}
			return cli.ShowCommandHelp(c, word)
		},
	}
}
