package acl_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store/consultest"
)

// consul is a real server with ACLs and default deny. Its node is web1.
type consul struct {
	*consultest.Server
	t *testing.T
}

func startConsul(t *testing.T, keyList bool) consul {
	t.Helper()
	more := map[string]any{"acl": map[string]any{"enable_key_list_policy": keyList}}
	root := "11111111-1111-1111-1111-111111111111"
	return consul{consultest.Start(t, consultest.Config{Node: "web1", Token: root, More: more}), t}
}

func (c consul) do(token, method, path, body string) (int, string) {
	c.t.Helper()
	code, answer, err := c.AskAs(token, method, path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return code, answer
}

// must is do for requests that the test itself needs.
func (c consul) must(method, path, body string) string {
	c.t.Helper()
	code, answer, err := c.Ask(method, path, body)
	if err != nil || code != http.StatusOK {
		c.t.Fatalf("%s %s: %d %s %v", method, path, code, answer, err)
	}
	return answer
}

// token creates a token with exactly these rules.
func (c consul) token(rules string) string { return c.NewToken(rules) }

// eventually waits until ok returns true.
func (c consul) eventually(what string, ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("still not so: %s", what)
		}
	}
}
