package intent

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostileValues are large or deep on purpose; each must be refused or read in reasonable time, with few problems.
func TestHostileValues(t *testing.T) {
	long := strings.Repeat("n", 100_000)
	for name, test := range map[string]struct {
		value string
		wrong string // part of the first error; empty: it is usable
	}{
		"half a megabyte":         {`{"versions":{},"user_config":"` + strings.Repeat("x", 512<<10) + `"}`, "too large"},
		"just allowed":            {`{"versions":{},"user_config":"` + strings.Repeat("x", MaxValue-32) + `"}`, ""},
		"ten thousand deep":       {strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), "levels"},
		"a hundred thousand deep": {strings.Repeat("[", 100_000), "not JSON"},
		"deep objects":            {strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), "levels"},
		"only white space":        {strings.Repeat(" \n", 100_000), "empty"},
		"white space within":      {`{"versions"` + strings.Repeat("\n", 200_000) + `:{}}`, ""},
		"ten thousand versions":   {`{"versions":{` + repeated(10_000, `"v%d":"prep"`) + `}}`, ""},
		"unknown members":         {`{"versions":{},` + repeated(20_000, `"u%d":1`) + `}`, ""},
		"a bad name many times":   {`{"versions":{` + repeated(20_000, `"/%d":1`) + `}}`, "must begin with"},
		"duplicates":              {`{"versions":{},` + strings.TrimSuffix(strings.Repeat(`"a":1,`, 40_000), ",") + `}`, "twice"},
		"below a long name":       {`{"versions":{"` + long + `":{` + repeated(10_000, `"u%d":1`) + `}}}`, "too long"},
		"long names, many items":  {`{"versions":{},"user_config":{"` + long + `":[` + strings.TrimSuffix(strings.Repeat("1,", 70_000), ",") + `]}}`, ""},
		"name of 300":             {`{"versions":{"` + strings.Repeat("v", 300) + `":"prep"}}`, "name of 300 bytes is too long"},
		"escaped NUL":             {`{"versions":{"a\u0000b":"prep"}}`, `holds '\x00'`},
		"raw NUL":                 {"{\"versions\":{\"a\x00b\":\"prep\"}}", "not JSON"},
		"look-alike":              {`{"versions":{"ѕlug":"prep"}}`, "letter or a digit"},
		"full-width":              {`{"versions":{"ｖ1":"prep"}}`, "letter or a digit"},
		"right-to-left":           {"{\"versions\":{\"v\u202e1\":\"prep\"}}", `\u202e`},
		"infinity":                {`{"versions":{},"min_nodes":1e999}`, "whole number"},
		"lone surrogate":          {`{"versions":{"\ud800":"prep"}}`, "letter or a digit"},
		"same name by an escape":  {`{"versions":{"a":"prep","\u0061":"active"}}`, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			found := Check("clusters/slug/production/config", []byte(test.value))
			if took := time.Since(start); took > hang {
				t.Errorf("took %s", took)
			}
			if len(found) > 2*(maxProblems+1) {
				t.Errorf("%d problems", len(found))
			}
			switch err := found.Err(); {
			case test.wrong == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)):
				t.Errorf("error %v does not say %q", err, test.wrong)
			}
			for _, p := range found {
				if len(p.Text) > 400 {
					t.Errorf("text of %d bytes: %.80s…", len(p.Text), p.Text)
				}
			}
		})
	}
}

func repeated(n int, format string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, ",")
}

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "9", "Web1.example.org", "a_b-c.d", strings.Repeat("a", 128)} {
		if name, err := ParseName(good); err != nil || string(name) != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, says := range map[string]string{
		"":                       "empty",
		".":                      "begin",
		"..":                     `".."`,
		"a..b":                   `".."`,
		"../a":                   `".."`,
		"-rf":                    "begin",
		"_a":                     "begin",
		"a/b":                    "'/'",
		`a\b`:                    `'\\'`,
		"a b":                    "' '",
		"a\x00":                  `'\x00'`,
		"a\n":                    `'\n'`,
		"a%2e":                   "'%'",
		"wéb":                    "'é'",
		"a\xff":                  "holds",
		"а":                      "begin", // Cyrillic
		strings.Repeat("a", 129): "129 bytes",
		strings.Repeat("a", 300): "300 bytes",
	} {
		if _, err := ParseName(bad); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v does not say %q", bad, err, says)
		}
	}
}

func TestCheckOfKeys(t *testing.T) {
	for key, says := range map[string]string{
		"":                             "empty",
		"nodes/web1":                   "has 3 segments, this one 2",
		"nodes/web1/slug/x":            "has 3 segments, this one 4",
		"nodes/web1/":                  "empty",
		"/nodes/web1/slug":             "empty",
		"nodes/../slug":                `".."`,
		"cluster/slug/c/config":        "nothing is declared below",
		"clusters/slug/c/versions":     "a cluster holds config and deploy_config",
		"platypus/intent/nodes/web1/a": "nothing is declared below",
	} {
		if found := Check(key, []byte(`{}`)); len(found) != 1 || found[0].Key != key || !strings.Contains(found[0].Text, says) {
			t.Errorf("%q: %v does not say %q", key, found, says)
		}
	}
	for _, key := range []string{"services/s", "routes/r"} {
		if found := Check(key, []byte(`{"any":"thing"}`)); found.Err() == nil || !strings.Contains(found[0].Text, "nothing reads") {
			t.Errorf("%s, which nothing reads: %v", key, found)
		}
	}
}
