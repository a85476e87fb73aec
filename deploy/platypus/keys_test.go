package main

import (
	"strings"
	"testing"
)

// TestWrongKey_NamesWhatWasMeant: an app, a path, a prefix without its end or a slip of the finger is not an empty key.
func TestWrongKey_NamesWhatWasMeant(t *testing.T) {
	known := []string{"clusters/slug/production/config", "clusters/slug/production/deploy_config", "nodes/web1/slug", "vms/den"}
	for text, want := range map[string]string{
		"clusters/slug":    "did you mean clusters/slug/?",
		"slug":             "did you mean clusters/slug/?",
		"slug/production":  "did you mean clusters/slug/production/?",
		"web1":             "did you mean nodes/web1/?",
		"web1/":            "did you mean nodes/web1/?",
		"den":              "did you mean vms/den?",
		"nodes/web1/slug/": "did you mean nodes/web1/slug?",
		"apps/clusters/slug/production/config.json": "did you mean clusters/slug/production/config?",
		"clusters/slug/production/confg":            "did you mean clusters/slug/production/config?",
		"clusters/slgu/":                            "did you mean clusters/slug/?",
		"elsewhere":                                 "platypus ls lists the keys",
	} {
		if err := unknownKeyError(text, known); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "/", "clusters/", "clusters/slug/", "nodes/web1/slug"} {
		if err := unknownKeyError(text, known); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
