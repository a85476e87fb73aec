package schema

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/platypus-platform/platypus/intent"
)

// keys has an example key for each kind.
var keys = map[string]string{"node": "nodes/n/a", "config": "clusters/a/c/config", "deploy_config": "clusters/a/c/deploy_config",
	"region": "regions/r", "machine": "machines/r/m", "vm": "vms/v", "seed": "seeds/s", "site": "sites/s",
	"blob": "blobs/" + strings.Repeat("0a", 32)}

// Checks each example against intent and the schema: both must agree with the name of its folder. A file has one value
// a line. beyond/ holds invalid values that a schema cannot detect.
func TestVerdict(t *testing.T) {
	for folder, wanted := range map[string][2]bool{"good": {true, true}, "bad": {false, false}, "beyond": {false, true}} {
		for kind, key := range keys {
			s, err := Of(kind)
			if err != nil {
				t.Fatal(err)
			}
			resolved, err := s.Resolve(nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range lines(t, filepath.Join("testdata", folder, kind+".jsonl")) {
				if got := intent.Check(key, []byte(line)).Err(); (got == nil) != wanted[0] {
					t.Errorf("%s %s: intent says %v of %s", folder, kind, got, line)
				}
				if got := verdict(t, resolved, line); (got == nil) != wanted[1] {
					t.Errorf("%s %s: the schema says %v of %s", folder, kind, got, line)
				}
			}
		}
	}
}

func verdict(t *testing.T, s *jsonschema.Resolved, text string) error {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s.Validate(value)
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(all) < 2 && !strings.Contains(path, "beyond") {
		t.Fatalf("%s has %d examples", path, len(all))
	}
	return all
}

// The list of system directories must match that of intent.
func TestSystemBasedirs(t *testing.T) {
	s, _ := Of("deploy_config")
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range strings.Fields("bin boot dev etc lib lib64 proc root run sbin sys usr var tmp home opt srv data apps opt2 srv2 mnt media lib32 etc/x etcx var/x dev/a/b") {
		text := `{"basedir":"/` + dir + `"}`
		a, b := intent.Check(keys["deploy_config"], []byte(text)).Err(), verdict(t, resolved, text)
		if (a == nil) != (b == nil) {
			t.Errorf("/%s: intent says %v, the schema %v", dir, a, b)
		}
	}
}

// Every member needs a description.
func TestDescribed(t *testing.T) {
	for kind := range keys {
		s, err := Of(kind)
		if err != nil {
			t.Fatal(err)
		}
		described(t, kind, s)
	}
}

func described(t *testing.T, where string, s *jsonschema.Schema) {
	for member, p := range s.Properties {
		if p.Description == "" {
			t.Errorf("%s/%s has no description", where, member)
		}
		described(t, where+"/"+member, p)
	}
}

// Checks whole files against the schema of files.
func TestFile(t *testing.T) {
	s, err := Of("file")
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, wanted := range map[string]bool{
		`{"nodes/web1/slug":{"cluster":"production"},"clusters/slug/production/config":{"versions":{"1":"active"}}}`: true,
		`{"nodes/web1/slug":null,"$schema":"file.json"}`:                                                             true,
		`{"nodes/web1/slug":{"cluster":7}}`:                                                                          false,
		`{"clusters/slug/production/deploy_config":{}}`:                                                              false,
		`{"clusters/slug/production/confg":{}}`:                                                                      false,
		`{"node/web1/slug":{"cluster":"production"}}`:                                                                false,
		`{"regions/SIN":{"location":"Singapore"},"vms/a":null}`:                                                      true,
	} {
		if err := verdict(t, resolved, text); (err == nil) != wanted {
			t.Errorf("%v of %s", err, text)
		}
	}
}

// Checks the examples of the project against both: the schema accepts whatever intent accepts, with or without
// warnings. beyond has what intent refuses and a schema cannot detect.
func TestExamples(t *testing.T) {
	paths, err := filepath.Glob("../../../../testdata/intent/*/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	both := 0
	for _, path := range paths {
		kind, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".json"), "-")
		kind = strings.Replace(kind, "assignment", "node", 1)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Of(kind)
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := s.Resolve(nil)
		if err != nil {
			t.Fatal(err)
		}
		var value any
		refused := json.Unmarshal(data, &value)
		if refused == nil {
			refused = resolved.Validate(value)
		}
		switch usable := intent.Check(keys[kind], data).Err() == nil; {
		case usable && refused != nil:
			t.Errorf("%s: intent accepts it, the schema does not: %v", path, refused)
		case !usable && refused != nil:
			both++
		case !usable:
			t.Logf("%s: only intent refuses it", path)
		}
	}
	if both < 20 {
		t.Errorf("both refuse %d examples only", both)
	}
}
