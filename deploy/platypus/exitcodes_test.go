package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/store/embedtest"
)

// exitCodes are command lines by the exit code that the README's table promises: first the verbs, then the agents. Each runs
// with a store in which app a is declared on node web1 with a version that is nowhere, unless it says otherwise.
var exitCodes = map[string][2][]string{
	"0": {{"platypus version", "platypus status", "platypus validate ok.json", "platypus apply ok.json", "platypus why b web2 | cat", "platypus confirm web1"},
		{"preparer --node web2 --repo file:///nonexistent --once --state-dir s0", "recorder --node web2 --once --state-dir s1"}},
	"1": {{"platypus apply missing.json", "platypus validate bad.json", "platypus confirm wbe1", "platypus why nosuch", "platypus stop nosuch",
		"CONSUL_HTTP_ADDR=127.0.0.1:9 platypus status --check", "CONSUL_HTTP_ADDR=127.0.0.1:9 platypus doctor"},
		{"preparer --node web1 --repo file:///nonexistent --once --state-dir s2"}},
	"2": {{"platypus status --check", "platypus plan new.json", "platypus apply --dry-run new.json", "platypus why a web1",
		"platypus rollout a v2 --wait --timeout 100ms"},
		{"preparer --node web1 --repo file:///nonexistent --dry-run --state-dir s3", "CONSUL_HTTP_ADDR=127.0.0.1:9 preparer --node web1 --repo file:///nonexistent --once --state-dir s4",
			"CONSUL_HTTP_ADDR=127.0.0.1:9 setlive --node web1 --once --state-dir s5", "CONSUL_HTTP_ADDR=127.0.0.1:9 allocator --node web1 --once --state-dir s6",
			"CONSUL_HTTP_ADDR=127.0.0.1:9 recorder --node web1 --once --state-dir s7"}},
	"3": {{"platypus rollout a v3 --wait --timeout 100s"}, {}},
	"4": {{"platypus rollback a --from v9 --wait"}, {}},
	"5": {{"platypus rollout a v4 --wait & pid=$!; sleep 1; kill $pid; wait $pid"}, {}},
	"6": {{"sh lost.sh"}, {}},
	"64": {{"platypus", "platypus statsu", "platypus status --chekc", "platypus plan", "platypus deploy a", "platypus init", "platypus --root ../x status"},
		{"preparer --nonsense", "setlive --nonsense", "port-authority --nonsense", "allocator --nonsense", "recorder --nonsense", "seed-placer --nonsense"}},
	"75": {{}, {"preparer --node web1 --repo file:///nonexistent --state-dir held --once"}},
}

// TestExitCodes_README_AsTheProgramsGiveThem holds the table of exit codes to what the programs do, line by line.
func TestExitCodes_README_AsTheProgramsGiveThem(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| ([0-9]+) \\| (.+) \\| (.+) \\|$").FindAllStringSubmatch(string(readme), -1)
	if len(rows) != len(exitCodes) {
		t.Errorf("the table has %d exit codes, tested are %d", len(rows), len(exitCodes))
	}
	address, bin, dir := embedtest.Start(t), binaries(t), t.TempDir()
	write(t, filepath.Join(dir, "ok.json"), `{"nodes/web1/a": {"cluster": "p"}, "clusters/a/p/config": {"versions": {"v1": "active"}},
		"clusters/a/p/deploy_config": {"basedir": "`+dir+`/srv", "require": "none"},
		"nodes/web2/b": {"cluster": "p"}, "clusters/b/p/config": {"versions": {}}, "clusters/b/p/deploy_config": {"basedir": "`+dir+`/b"}}`)
	write(t, filepath.Join(dir, "new.json"), `{"nodes/web3/a": {"cluster": "p"}}`)
	write(t, filepath.Join(dir, "bad.json"), `{"nodes/web3/a": {"cluster": 7}}`)
	write(t, filepath.Join(dir, "lost.sh"), `export CONSUL_HTTP_ADDR=unix://$PWD/lost.sock
platypus store --data $PWD/lost --listen unix:$PWD/lost.sock & store=$!
for i in $(seq 300); do [ -S lost.sock ] && break; sleep .1; done
platypus apply ok.json
platypus rollout a v1 --wait --timeout 12s & pid=$!
sleep 2
kill $store
wait $store
wait $pid`)
	start := func(line string) *exec.Cmd {
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+address, "NO_COLOR=1", "HOME="+dir, "PATH="+bin+":"+os.Getenv("PATH"))
		return cmd
	}
	if out, err := start("platypus apply ok.json").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	holder := start("exec preparer --node web1 --repo file:///nonexistent --state-dir held")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	eventually(t, "preparer reports", func() bool {
		out, err := start("platypus status -o json").Output()
		return err == nil && strings.Contains(string(out), "no_repo")
	})
	for _, row := range rows {
		for column, who := range []string{"platypus", "an agent"} {
			lines := exitCodes[row[1]][column]
			if (row[2+column] == "–") != (len(lines) == 0) {
				t.Errorf("exit code %s of %s: %q in the README, %d lines tested", row[1], who, row[2+column], len(lines))
			}
			for _, line := range lines {
				out, err := start(line).CombinedOutput()
				code := "0"
				var ended *exec.ExitError
				if errors.As(err, &ended) {
					code = strings.TrimPrefix(ended.ProcessState.String(), "exit status ")
				}
				if code != row[1] {
					t.Errorf("%s: exit code %s, not %s:\n%s", line, code, row[1], out)
				}
			}
		}
	}
}
