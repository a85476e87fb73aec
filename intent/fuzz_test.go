package intent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func seed(f *testing.F, add func(data []byte)) {
	paths, _ := filepath.Glob("../testdata/intent/*/*.json")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		add(data)
	}
}

// Checks for panics and for problems without a valid position.
func FuzzCheck(f *testing.F) {
	keys := []string{"nodes/web1/slug", "clusters/slug/production/config", "clusters/slug/production/deploy_config", "vms/v",
		"regions/SIN", "machines/SIN/m1", "seeds/s"}
	seed(f, func(data []byte) {
		for i := range keys {
			f.Add(uint8(i), data)
		}
	})
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		key := keys[int(kind)%len(keys)]
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, p := range Check(key, data) {
			if p.Key != key || p.Text == "" || !utf8.ValidString(p.Error()) || p.Line > lines || p.Line > 0 && p.Col < 1 {
				t.Errorf("problem %+v in %d lines", p, lines)
			}
			if strings.Contains(p.Error(), "\n") {
				t.Errorf("problem of more than one line: %q", p.Error())
			}
		}
	})
}

// Checks that no app is dropped: each assignment with a valid name must be there, usable or not, and an unusable one
// must have a reason. No usable app has a path outside its own directory.
func FuzzReadNode(f *testing.F) {
	seed(f, func(data []byte) { f.Add("slug", data, []byte(`{"versions":{}}`), []byte(`{"basedir":"/srv/x"}`)) })
	seed(f, func(data []byte) { f.Add("slug", []byte(`{"cluster":"production"}`), data, data) })
	f.Fuzz(func(t *testing.T, app string, assignment, config, deploy []byte) {
		tree := tree(t, "")
		values := merge(sound("sibling", "/opt/sibling"), map[string]string{
			"nodes/web1/" + app:                             string(assignment),
			"clusters/" + app + "/production/config":        string(config),
			"clusters/" + app + "/production/deploy_config": string(deploy),
		})
		node := ReadNode(tree, "web1", pairsOf(tree, values))
		if name, err := ParseName(app); err == nil {
			if a, there := node.App(name); !there || a.Sound() != (a.Reason == "") {
				t.Errorf("app %q: there %v, %+v", app, there, a)
			}
		}
		for _, a := range node.Apps {
			if !a.Sound() {
				continue
			}
			if a.Deploy.Basedir != filepath.Clean(a.Deploy.Basedir) || !filepath.IsAbs(a.Deploy.Basedir) || a.Deploy.Basedir == "/" {
				t.Errorf("basedir %q", a.Deploy.Basedir)
			}
			for _, version := range a.Config.Wanted() {
				if filepath.Dir(Install(a.Deploy.Basedir, a.Name, version)) != Installs(a.Deploy.Basedir) {
					t.Errorf("version %q of %q leaves %q", version, a.Name, a.Deploy.Basedir)
				}
			}
		}
	})
}
