package deploy_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// requireTool skips the test if a required program is not installed.
func requireTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s: scripts/deps.sh test deb", name)
	}
	return path
}

// TestExposure checks the units against their limits of systemd's exposure score, from 0 (nothing) to 10 (everything).
func TestExposure(t *testing.T) {
	analyze := requireTool(t, "systemd-analyze")
	if err := exec.Command(analyze, "security", "--offline=true", "--help").Run(); err != nil {
		t.Skip("needs a systemd-analyze that works offline (systemd 250)")
	}
	for _, bar := range []struct {
		unit  string
		worst float64
	}{{"preparer", 1.5}, {"port-authority", 2.5}, {"setlive", 5}, {"store", 1.5}, {"recorder", 1.5}, {"allocator", 1.5}, {"seed-placer", 1.5}, {"dashboard", 1.5}} {
		out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager",
			fmt.Sprintf("--threshold=%d", int(bar.worst*10)), "./systemd/platypus-"+bar.unit+".service").CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		last := lines[len(lines)-1]
		t.Log(last)
		if err != nil || !strings.Contains(last, "Overall exposure level") {
			t.Errorf("%s, at most %.1f is wanted: %v\n%s", bar.unit, bar.worst, err, out)
		}
	}
}

// programs are what units start; they need not be installed on the test machine.
var programs = regexp.MustCompile(`^platypus-[a-z-]+\.service: Command /usr/(lib/platypus|bin)/[a-z-]+ is not executable: No such file or directory$`)

// TestUnitsVerify lets systemd verify the units; it must print nothing.
func TestUnitsVerify(t *testing.T) {
	analyze := requireTool(t, "systemd-analyze")
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) == 0 {
		t.Fatal("no units", err)
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	seen := 0
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		switch {
		case programs.MatchString(line):
			seen++
		case line != "" && strings.Contains(line, "platypus"):
			t.Error(line)
		}
	}
	if err != nil && seen == 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

// TestRunScripts checks the syntax of the scripts of runit and of the package.
func TestRunScripts(t *testing.T) {
	scripts, _ := filepath.Glob("runit/*/run")
	logs, _ := filepath.Glob("runit/*/log/run")
	maintainer, _ := filepath.Glob("deb/p*rm")
	if len(scripts) < 4 || len(logs) != len(scripts) || len(maintainer) != 2 {
		t.Fatal("scripts are missing:", scripts, logs, maintainer)
	}
	for _, script := range append(append(append(scripts, logs...), maintainer...), "deb/postinst") {
		if out, err := exec.Command("sh", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", script, err, out)
		}
	}
}
