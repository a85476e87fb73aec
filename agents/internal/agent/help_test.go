package agent_test

import (
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestHelp_FitsATerminal_WithTwoExamples and without the defaults that say nothing.
func TestHelp_FitsATerminal_WithTwoExamples(t *testing.T) {
	out, err := exec.Command("toy", "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text := string(out)
	for _, want := range []string{"toy: keep a directory\n", "Flags of toy:\n", "Flags of every agent:\n", "--state-dir DIR", "--resync TIME", "(default: 30s)", "Exit codes: 0 done"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, "default: false") || strings.Contains(text, "GLOBAL OPTIONS") || strings.Contains(text, "`") {
		t.Error("it has noise in it")
	}
	_, examples, _ := strings.Cut(text, "\nExamples:\n")
	if n := strings.Count(examples, "  toy "); n < 2 {
		t.Errorf("%d examples", n)
	}
	for line := range strings.Lines(text) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 80 && !strings.HasPrefix(line, "  toy ") {
			t.Errorf("more than 80 columns: %q", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestFlagTypo_NamesTheFlagThatWasMeant in one line.
func TestFlagTypo_NamesTheFlagThatWasMeant(t *testing.T) {
	out, err := exec.Command("toy", "--dir=x", "--noed=web1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "flag provided but not defined: -noed: did you mean --node?\n") {
		t.Errorf("%v: %s", err, out)
	}
}
