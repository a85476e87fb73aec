package flagline

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func app() *cli.App {
	return &cli.App{
		Flags: []cli.Flag{&cli.StringFlag{Name: "http-addr"}, &cli.StringFlag{Name: "root"}},
		Commands: []*cli.Command{
			{Name: "apply", Flags: []cli.Flag{&cli.StringFlag{Name: "message", Aliases: []string{"m"}}, &cli.BoolFlag{Name: "yes"}}},
			{Name: "status"},
		},
	}
}

func TestArrange(t *testing.T) {
	for line, want := range map[string]string{
		"":                                   "",
		"apply a.json":                       "apply a.json",
		"apply a.json --yes -m why b.json":   "apply --yes -m why a.json b.json",
		"apply --http-addr x a.json":         "--http-addr x apply a.json",
		"--root= apply a.json":               "--root= apply a.json",
		"apply -m=a=b -":                     "apply -m=a=b -",
		"apply -m --yes x":                   "apply -m --yes x",
		"apply --yes -- --odd":               "apply --yes -- --odd",
		"apply x -- --yes -m":                "apply -- x --yes -m",
		"status --help":                      "status --help",
		"--version":                          "--version",
		"help apply":                         "help apply",
		"-http-addr=1 status -root r --":     "-http-addr=1 -root r status",
		"apply -yes --message m --http-addr": "error: flag --http-addr needs a value",
		"aplpy":                              `error: unknown verb "aplpy": did you mean apply?`,
		"apply --mesage x":                   `error: unknown flag "--mesage": did you mean --message?`,
		"status --yes":                       `error: unknown flag "--yes"`,
		"zzzzzz":                             `error: unknown verb "zzzzzz"`,
	} {
		words, err := Arrange(app(), append([]string{"platypus"}, strings.Fields(line)...))
		got := strings.Join(words, " ")
		if err != nil {
			got = "platypus error: " + err.Error()
		}
		if got = strings.TrimPrefix(strings.TrimPrefix(got, "platypus"), " "); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}
