package embedded

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/go-bexpr"
)

// readCatalog answers with a list out of the catalog, once there is news of a service ("" is any), filtered as asked.
func (c *call) readCatalog(name string, look func(*view) any) (any, error) {
	var list any
	alive, err := c.read(func(v *view) found {
		list = look(v)
		return v.catalogIndex(name)
	})
	if !alive {
		return nil, err
	}
	return c.filtered(list)
}

// filtered keeps what a filter expression of the client, if there is one, selects. Its selectors are the names in the
// JSON answer, so the answer is what it is run on.
func (c *call) filtered(list any) (any, error) {
	text := c.query.Get("filter")
	if text == "" {
		return list, nil
	}
	evaluator, err := bexpr.CreateEvaluator(text, bexpr.WithUnknownValue(""))
	if err != nil {
		return nil, fmt.Errorf("Failed to create boolean expression evaluator: %v", err)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("filter %s: %w", text, err)
	}
	var generic any
	if err := json.Unmarshal(raw, &generic); err != nil {
		return nil, fmt.Errorf("filter %s: %w", text, err)
	}
	return keep(evaluator, generic)
}

func keep(evaluator *bexpr.Evaluator, list any) (any, error) {
	switch list := list.(type) {
	case []any:
		kept := []any{}
		for _, item := range list {
			ok, err := evaluator.Evaluate(item)
			if err != nil {
				return nil, err
			}
			if ok {
				kept = append(kept, item)
			}
		}
		return kept, nil
	case map[string]any:
		for key, item := range list {
			ok, err := evaluator.Evaluate(item)
			if err != nil {
				return nil, err
			}
			if !ok {
				delete(list, key)
			}
		}
	}
	return list, nil
}

// healthEntry is one instance of a service with its machine and the checks of both.
type healthEntry struct {
	Node    node
	Service *instance
	Checks  []*check
}

func (c *call) healthService() (any, error) {
	if c.rest == "" {
		return nil, badRequest("Missing service name")
	}
	passingOnly, err := c.passingOnly()
	if err != nil {
		return nil, err
	}
	return c.readCatalog(c.rest, func(v *view) any {
		entries := []healthEntry{}
		for _, i := range v.named(c.rest, c.query["tag"]) {
			e := healthEntry{c.store.node(), i, c.store.checksOf(v, i.ID)}
			if !passingOnly || allPass(e.Checks) {
				entries = append(entries, e)
			}
		}
		return entries
	})
}

// passingOnly reads ?passing, which may also say true or false.
func (c *call) passingOnly() (bool, error) {
	if !c.has("passing") {
		return false, nil
	}
	switch c.query.Get("passing") {
	case "", "1", "t", "true", "TRUE", "True":
		return true, nil
	case "0", "f", "false", "FALSE", "False":
		return false, nil
	}
	return false, badRequest("Invalid value for ?passing")
}

// checksOf lists the checks of the machine and of one service.
func (s *Store) checksOf(v *view, id string) []*check {
	checks := []*check{s.serf()}
	for _, c := range all(v.checks) {
		if c.ServiceID == "" || c.ServiceID == id {
			checks = append(checks, c.shown())
		}
	}
	return checks
}

func allPass(checks []*check) bool {
	for _, c := range checks {
		if c.Status != passing {
			return false
		}
	}
	return true
}

// readChecks answers with the checks, the machine's among them, that a test lets through.
func (c *call) readChecks(name string, test func(*check) bool) (any, error) {
	return c.readCatalog(name, func(v *view) any {
		checks := []*check{}
		for _, k := range append([]*check{c.store.serf()}, all(v.checks)...) {
			if test(k) {
				checks = append(checks, k.shown())
			}
		}
		return checks
	})
}

func (c *call) healthChecks() (any, error) {
	if c.rest == "" {
		return nil, badRequest("Missing service name")
	}
	return c.readChecks(c.rest, func(k *check) bool { return k.ServiceName == c.rest })
}

func (c *call) healthNode() (any, error) {
	if c.rest == "" {
		return nil, badRequest("Missing node name")
	}
	return c.readChecks("", func(k *check) bool { return k.Node == c.rest })
}

func (c *call) healthState() (any, error) {
	if c.rest == "" {
		return nil, badRequest("Missing check state")
	}
	return c.readChecks("", func(k *check) bool { return c.rest == "any" || k.Status == c.rest })
}
