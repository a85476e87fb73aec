package intent

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the problems found beside the examples")

// keyOf returns the key for an example: its file name begins with the kind.
func keyOf(t *testing.T, path string) string {
	kind, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".json"), "-")
	key := map[string]string{"assignment": "nodes/web1/slug", "config": "clusters/slug/production/config",
		"deploy_config": "clusters/slug/production/deploy_config", "region": "regions/SIN", "machine": "machines/SIN/m1",
		"vm": "vms/web", "seed": "seeds/hello", "site": "sites/docs", "blob": "blobs/" + strings.Repeat("0a", 32)}[kind]
	if key == "" {
		t.Fatalf("%s: its name does not begin with a kind", path)
	}
	return key
}

func examples(t *testing.T, folder string) []string {
	paths, err := filepath.Glob("../testdata/intent/" + folder + "/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no examples in %s: %v", folder, err)
	}
	return paths
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGoodExamples(t *testing.T) {
	for _, path := range examples(t, "good") {
		if found := Check(keyOf(t, path), read(t, path)); len(found) > 0 {
			t.Errorf("%s: %v", path, found)
		}
	}
}

// Compares all problems, including texts and positions, with the file beside each example.
func TestBadExamples(t *testing.T) {
	for _, folder := range []string{"bad", "warn"} {
		for _, path := range examples(t, folder) {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
				found := Check(keyOf(t, path), read(t, path))
				var b strings.Builder
				for _, p := range found {
					b.WriteString(p.Error() + "\n")
				}
				beside := strings.TrimSuffix(path, ".json") + ".problem"
				if *update {
					if err := os.WriteFile(beside, []byte(b.String()), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if want := string(read(t, beside)); b.String() != want {
					t.Errorf("found\n%swant\n%s", b.String(), want)
				}
				if usable := found.Err() == nil; usable != (folder == "warn") {
					t.Errorf("usable %v: %v", usable, found)
				}
			})
		}
	}
}
