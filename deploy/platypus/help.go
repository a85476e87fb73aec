package main

const appHelp = `{{.Name}}: {{.Usage}}

Usage: platypus VERB [flags] [arguments]

Verbs:{{range .VisibleCommands}}
  {{printf "%-11s" .Name}} {{.Usage}}{{end}}

Flags of every verb (each also as PLATYPUS_…, and as Consul's own environment variables):{{range .VisibleFlags}}
  {{.}}{{end}}

Wherever a verb takes FILE, that is
  a JSON object of keys below intent/ to values: {"nodes/web1/slug": {"cluster": "production"}}
  a directory of <key>.json files: intent/nodes/web1/slug.json
  what consul kv export wrote
  - for standard input
A value of null means that the key shall go.

Exit codes: 0 done, 1 error, 2 changes pending or not converged, 64 mistake on the command line

Examples:
  platypus dev
  platypus plan slug.json
  platypus apply -m "slug to production" slug.json
  platypus status --watch
`

const verbHelp = `platypus {{.Name}}: {{.Usage}}

Usage: platypus {{.Name}} [flags]{{.ArgsUsage}}

{{.Description}}
{{if .VisibleFlags}}
Flags:{{range .VisibleFlags}}
  {{.}}{{end}}
{{end}}`
