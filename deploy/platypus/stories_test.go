package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/store/consultest"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestStories runs the scripts below testdata, which are the specification of the program, on every store there is.
// What agents would write is written by the command kv.
func TestStories(t *testing.T) {
	sheets, err := filepath.Abs("../../testdata/fleet")
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := start(t)
			testscript.Run(t, testscript.Params{
				Dir: "testdata", RequireUniqueNames: true,
				Setup: func(e *testscript.Env) error {
					root := "test-" + strings.ReplaceAll(filepath.Base(e.WorkDir), ".", "-")
					e.Setenv("CONSUL_HTTP_ADDR", address)
					e.Setenv("PLATYPUS_ROOT", root)
					e.Setenv("ROOT", root)
					e.Setenv("STORE", name)
					e.Setenv("SHEETS", sheets)
					e.Setenv("TERM", "xterm")
					return nil
				},
				Cmds:      map[string]func(*testscript.TestScript, bool, []string){"kv": kv, "next": next},
				Condition: func(name string) (bool, error) { return name == "root" && os.Geteuid() == 0, nil },
			})
		})
	}
}

// kv put KEY VALUE-or-FILE, kv get KEY, kv delete KEY: the plain HTTP that curl would speak.
func kv(ts *testscript.TestScript, neg bool, args []string) {
	method := map[string]string{"put": http.MethodPut, "get": http.MethodGet, "delete": http.MethodDelete}[args[0]]
	var body []byte
	if args[0] == "put" {
		body = []byte(args[2])
		if strings.HasSuffix(args[2], ".json") {
			body = []byte(ts.ReadFile(args[2]))
		}
	}
	request, err := http.NewRequest(method, "http://"+ts.Getenv("CONSUL_HTTP_ADDR")+"/v1/kv/"+args[1]+"?raw", bytes.NewReader(body))
	ts.Check(err)
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	ts.Check(err)
	if (response.StatusCode == http.StatusOK) == neg {
		ts.Fatalf("%v: %s: %s", args, response.Status, said)
	}
	if args[0] == "get" {
		fmt.Fprintf(ts.Stdout(), "%s\n", said)
	}
}

// said is where a command ends and the sentence that names it goes on.
var said = regexp.MustCompile(`[;,:\n]| (?:shows|declares|changes|ends|fetches|lists|looks|prints|names|starts|replaces|or|to|is|with|keeps|puts|brings|writes) .*`)

// next [PLACEHOLDER=VALUE…] runs every command that the last one named as a next step, as a person would type it. None may
// be an error.
func next(ts *testscript.TestScript, _ bool, fill []string) {
	ran := 0
	for _, part := range strings.Split(ts.ReadFile("stderr")+"\n", "platypus ")[1:] {
		line := strings.TrimSpace(said.Split(strings.ReplaceAll(part, "--watch", ""), 2)[0])
		for _, f := range fill {
			name, value, _ := strings.Cut(f, "=")
			line = strings.ReplaceAll(line, name, value)
		}
		if len(strings.Fields(line)) == 0 {
			continue
		}
		ran++
		err := ts.Exec("platypus", strings.Fields(line)...)
		var ended *exec.ExitError
		if err != nil && (!errors.As(err, &ended) || ended.ExitCode() != exitPending) {
			ts.Fatalf("the next step %q: %v", line, err)
		}
	}
	if ran == 0 {
		ts.Fatalf("no next step is named")
	}
}

// stores start a store for as long as the test runs and return its address.
var stores = map[string]func(testing.TB) string{"consul": startConsul, "embedded": embedtest.Start}

func startConsul(t testing.TB) string { return consultest.Start(t, consultest.Config{}).Addr }

// TestHelp holds every verb to what a stranger needs: a line, a manual, and two examples that can be typed as they are.
func TestHelp(t *testing.T) {
	for _, v := range verbs() {
		var out bytes.Buffer
		if code := run(context.Background(), []string{"platypus", v.name, "--help"}, stdio{strings.NewReader(""), &out, &out}); code != 0 {
			t.Errorf("%s --help: exit %d", v.name, code)
		}
		if v.usage == "" || strings.Contains(v.usage, "\n") || !strings.HasSuffix(v.text, ".") {
			t.Errorf("%s: usage %q, text %q", v.name, v.usage, v.text)
		}
		if len(v.examples) < 2 {
			t.Errorf("%s has %d examples", v.name, len(v.examples))
		}
		for _, example := range v.examples {
			if !strings.Contains(out.String(), example) {
				t.Errorf("%s --help lacks %q", v.name, example)
			}
			_, words, _ := strings.Cut(example, "platypus ")
			words, _, _ = strings.Cut(strings.NewReplacer("\n", " ", ")", "", `"slug 1.2 to production"`, "why").Replace(words), " |")
			words, _, _ = strings.Cut(words, " >")
			if _, err := flagline.Arrange(newApp(stdio{}), append([]string{"platypus"}, strings.Fields(words)...)); err != nil {
				t.Errorf("%s: example %q: %v", v.name, example, err)
			}
			if !slices.Contains(strings.Fields(words), v.name) { // flags may come first
				t.Errorf("%s: example %q is of another verb", v.name, example)
			}
		}
	}
}
