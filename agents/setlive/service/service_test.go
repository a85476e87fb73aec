package service

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

func TestTheScriptRunsWhatCurrentSaysWhateverTheNames(t *testing.T) {
	testhost.NeedTools(t, "setsid")
	root := testhost.Scratch(t)
	basedir := filepath.Join(root, `a b'c"d $HOME *;`)
	home := Home(filepath.Join(root, "it's home", "x.y-1_z"))
	out := filepath.Join(root, "out")
	testhost.Prepare(t, basedir, "x.y-1_z", "v_1.0-x", `#!/bin/sh
echo "$PLATYPUS_APP $PLATYPUS_VERSION $PWD $0 $$" >`+out+`
cat "$PLATYPUS_CONFIG" >>`+out+`
sleep 1000
`)
	testhost.GoLive(t, basedir, "x.y-1_z", "v_1.0-x")
	spec := Spec{App: "x.y-1_z", Basedir: basedir, Config: ` {"b": 1.0, "a": "<é>"} `}
	if changed, err := home.Write(spec); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if changed, err := home.Write(spec); err != nil || changed {
		t.Errorf("written twice: %v, %v", changed, err)
	}
	cmd := exec.Command(filepath.Join(string(home), RunName))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() {
		p, err := home.Process(pid)
		if err := errors.Join(err, KillGroup(p)); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
	})
	install := filepath.Join(basedir, "installs", "x.y-1_z_v_1.0-x")
	want := "x.y-1_z v_1.0-x " + install + " " + install + "/bin/launch " + strconv.Itoa(pid) + "\n{\"a\":\"\\u003cé\\u003e\",\"b\":1.0}"
	testhost.Eventually(t, "it wrote "+want, func() bool { got, _ := os.ReadFile(out); return string(got) == want })
	p, err := home.Process(pid)
	if started, _, errStart := StartOf(pid); err != nil || errStart != nil || p.PID != pid || p.Started != started || p.Version != "v_1.0-x" || p.Settings != spec.Settings() {
		t.Errorf("noted %+v", p)
	}
	if err := home.Forget(); err != nil {
		t.Fatal(err)
	}
	if p, err := home.Process(pid); err != nil || p.Version != "v_1.0-x" || p.Settings != "" {
		t.Errorf("without a note, by its folder: %+v", p)
	}
}

// TestAProcessThatIsSlowToBegin: for half a second it does not come to the folder of its version, and is not taken for
// something else.
func TestAProcessThatIsSlowToBegin(t *testing.T) {
	testhost.NeedTools(t, "setsid")
	root := testhost.Scratch(t)
	basedir, home := filepath.Join(root, "slug"), Home(filepath.Join(root, "home"))
	testhost.Prepare(t, basedir, "slug", "v1", "#!/bin/sh\nexec sleep 1000\n")
	testhost.GoLive(t, basedir, "slug", "v1")
	if _, err := home.Write(Spec{App: "slug", Basedir: basedir}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `sleep 0.5; exec "$0"`, filepath.Join(string(home), RunName))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if p, err := home.Settled(cmd.Process.Pid); err != nil || p.Version != "v1" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestSettingsChangeWithWhatAProcessGetsAndOnlyThat(t *testing.T) {
	spec := Spec{App: "slug", Basedir: "/srv/slug", RunAs: "slug", Config: `{"a":1,"b":[1,2]}`}
	same, other := spec, []Spec{spec, spec, spec, spec}
	same.Config, same.StopTimeout = "{ \"b\" : [1,2],\n\"a\":1 }", time.Minute
	if same.Settings() != spec.Settings() {
		t.Error("the layout of user_config or the stop timeout would restart it")
	}
	if same.Fingerprint() == spec.Fingerprint() {
		t.Error("another stop timeout would not be written")
	}
	other[0].Config, other[1].RunAs, other[2].Basedir, other[3].App = `{"a":1.5,"b":[1,2]}`, "", "/srv/x", "x"
	for _, o := range other {
		if o.Settings() == spec.Settings() {
			t.Errorf("%+v would not restart it", o)
		}
	}
}

func TestHostileNamesAreRefused(t *testing.T) {
	for _, spec := range []Spec{
		{App: "../x", Basedir: "/srv/x"}, {App: "", Basedir: "/srv/x"}, {App: "a/b", Basedir: "/srv/x"}, {App: "a..b", Basedir: "/srv/x"},
		{App: "x", Basedir: "srv"}, {App: "x", Basedir: "/srv/../etc"}, {App: "x", Basedir: "/srv/\nx"}, {App: "x$(id)", Basedir: "/srv/x"},
		{App: "x", Basedir: "/srv/x", RunAs: "a b"}, {App: "x", Basedir: "/srv/x", RunAs: "-x"}, {App: "x", Basedir: "/srv/x", RunAs: "$(id)"},
	} {
		home := Home(filepath.Join(t.TempDir(), "home"))
		if _, err := home.Write(spec); err == nil {
			t.Errorf("%+v was written", spec)
		}
		if _, err := os.Stat(string(home)); err == nil {
			t.Errorf("%+v left a folder", spec)
		}
	}
}

func TestAFolderIsOursByItsMarkerAlone(t *testing.T) {
	parent := t.TempDir()
	home, spec := Home(filepath.Join(parent, "slug")), Spec{App: "slug", Basedir: "/srv/slug"}
	if err := os.Mkdir(string(home), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := home.Write(spec); !errors.Is(err, ErrForeign) {
		t.Errorf("a foreign folder: %v", err)
	}
	if err := os.Remove(string(home)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(parent, ".slug.new", "left"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := home.Write(spec); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]string{"marker": markerName, "config": configName, "script": RunName} {
		if err := os.WriteFile(filepath.Join(string(home), damage), []byte("garbage"), 0o644); err != nil {
			t.Fatal(err)
		}
		homes, err := Owners(parent)
		if err != nil || len(homes) != 1 || homes[0] != home {
			t.Fatalf("%s damaged: owned %v, %v", name, homes, err)
		}
		if s, err := home.State(); err != nil || s.App != "slug" || s.Fingerprint != "" {
			t.Errorf("%s damaged: %+v, %v", name, s, err)
		}
		_, err = home.Write(spec)
		if s, errState := home.State(); err != nil || errState != nil || s.Fingerprint != spec.Fingerprint() {
			t.Errorf("%s damaged and mended: %+v, %v, %v", name, s, err, errState)
		}
	}
}

func FuzzNote(f *testing.F) {
	f.Add("1 2 v1 0123456789abcdef 0\n")
	f.Add("1 9 v1 0123456789abcdef 4 0123456789abcdef 0b0c-1 8 7 6 5\n")
	f.Fuzz(func(t *testing.T, text string) {
		home := Home(t.TempDir())
		if err := os.WriteFile(filepath.Join(string(home), noteName), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if p, ok, err := home.note(); err != nil || ok && strings.ContainsAny(p.Version+p.Settings+p.Core, " \n") {
			t.Errorf("%q gives %+v, %v", text, p, err)
		}
	})
}

// TestSettings_Restart_IsPartOfThem keeps an upgrade of setlive from restarting apps, and lets a person restart one that need
// not restart for another config.
func TestSettings_Restart_IsPartOfThem(t *testing.T) {
	spec := Spec{App: "a", Basedir: "/srv/a", Config: `{"b":1}`, OnConfig: "nothing"}
	if got, want := spec.Settings(), Digest("a", "/srv/a", "", `{"b":1}`); got != want {
		t.Errorf("the settings without a restart are %s, before this member they were %s", got, want)
	}
	again := spec
	again.Restart = "2026-01-01"
	if spec.Settings() == again.Settings() || spec.Core() == again.Core() || spec.Fingerprint() == again.Fingerprint() {
		t.Error("another text of restart changes nothing")
	}
}
