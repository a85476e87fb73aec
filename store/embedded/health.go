package embedded

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/go-bexpr"
)

// readCatalog answers with a catalog list, filtered as the request asks. It blocks on changes of one service; "" means
// any.
func (c *call) readCatalog(name string, readState func(*snapshot) any) (any, error) {
	var list any
	alive, err := c.read(func(snap *snapshot) readResult {
		list = readState(snap)
		return snap.catalogIndex(name)
	})
	if !alive {
		return nil, err
	}
	return c.filter(list)
}

// filter applies the filter expression of the request, if any. Selectors are JSON field names, so it runs on the
// encoded list.
func (c *call) filter(list any) (any, error) {
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
	return selectMatching(evaluator, generic)
}

func selectMatching(evaluator *bexpr.Evaluator, list any) (any, error) {
	switch list := list.(type) {
	case []any:
		matching := []any{}
		for _, item := range list {
			ok, err := evaluator.Evaluate(item)
			if err != nil {
				return nil, err
			}
			if ok {
				matching = append(matching, item)
			}
		}
		return matching, nil
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

// healthEntry is one instance of a service with its node and the checks of both.
type healthEntry struct {
	Node    node
	Service *instance
	Checks  []*check
}

func (c *call) healthService() (any, error) {
	if c.suffix == "" {
		return nil, badRequest("Missing service name")
	}
	passingOnly, err := c.passingOnly()
	if err != nil {
		return nil, err
	}
	return c.readCatalog(c.suffix, func(snap *snapshot) any {
		entries := []healthEntry{}
		for _, i := range snap.instancesOf(c.suffix, c.query["tag"]) {
			e := healthEntry{c.store.node(), i, c.store.checksOf(snap, i.ID)}
			if !passingOnly || allPass(e.Checks) {
				entries = append(entries, e)
			}
		}
		return entries
	})
}

// passingOnly reads ?passing, whose value may be empty or a boolean.
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

// checksOf lists the checks of the node and of one service.
func (s *Store) checksOf(snap *snapshot, id string) []*check {
	checks := []*check{s.serfCheck()}
	for _, c := range valuesOf(snap.checks) {
		if c.ServiceID == "" || c.ServiceID == id {
			checks = append(checks, c.withoutProbe())
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

// readChecks answers with the checks that pass a test, the node's own included.
func (c *call) readChecks(name string, test func(*check) bool) (any, error) {
	return c.readCatalog(name, func(snap *snapshot) any {
		checks := []*check{}
		for _, k := range append([]*check{c.store.serfCheck()}, valuesOf(snap.checks)...) {
			if test(k) {
				checks = append(checks, k.withoutProbe())
			}
		}
		return checks
	})
}

func (c *call) healthChecks() (any, error) {
	if c.suffix == "" {
		return nil, badRequest("Missing service name")
	}
	return c.readChecks(c.suffix, func(k *check) bool { return k.ServiceName == c.suffix })
}

func (c *call) healthNode() (any, error) {
	if c.suffix == "" {
		return nil, badRequest("Missing node name")
	}
	return c.readChecks("", func(k *check) bool { return k.Node == c.suffix })
}

func (c *call) healthState() (any, error) {
	if c.suffix == "" {
		return nil, badRequest("Missing check state")
	}
	return c.readChecks("", func(k *check) bool { return c.suffix == "any" || k.Status == c.suffix })
}
