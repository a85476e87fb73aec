package embedded

import "fmt"

// run applies one operation of a transaction and returns what it shows: values only where the client asked for them.
func (c *change) run(op kvOp) ([]txnResult, error) {
	switch op.Verb {
	case "get", "get-or-empty", "get-tree":
		return c.runGet(op)
	case "check-index", "check-session", "check-not-exists":
		return c.runCheck(op)
	}
	e, err := c.runWrite(op)
	if err != nil || e == nil {
		return nil, err
	}
	return bare(e), nil
}

func bare(e *entry) []txnResult {
	shown := *e
	shown.Value = nil
	return []txnResult{{&shown}}
}

func (c *change) runGet(op kvOp) ([]txnResult, error) {
	if op.Verb == "get-tree" {
		var results []txnResult
		c.list(op.Key, func(e *entry) { results = append(results, txnResult{e}) })
		return results, nil
	}
	e, found := c.kv.Get([]byte(op.Key))
	if !found {
		if op.Verb == "get" {
			return nil, fmt.Errorf("key %q doesn't exist", op.Key)
		}
		e = &entry{Key: op.Key, Flags: op.Flags, Session: op.Session, indexes: indexes{ModifyIndex: op.Index}}
	}
	return []txnResult{{e}}, nil
}

func (c *change) runCheck(op kvOp) ([]txnResult, error) {
	e, found := c.kv.Get([]byte(op.Key))
	if op.Verb == "check-not-exists" {
		if found {
			return nil, fmt.Errorf("key %q exists", op.Key)
		}
		return nil, nil
	}
	what := op.Verb[len("check-"):]
	switch {
	case !found:
		return nil, fmt.Errorf("failed to check %s, key %q doesn't exist", what, op.Key)
	case what == "index" && e.ModifyIndex != op.Index:
		return nil, fmt.Errorf("failed index check for key %q, current modify index %d != %d", op.Key, e.ModifyIndex, op.Index)
	case what == "session" && e.Session != op.Session:
		return nil, fmt.Errorf("failed session check for key %q, current session %q != %q", op.Key, e.Session, op.Session)
	}
	return bare(e), nil
}

func (c *change) runWrite(op kvOp) (*entry, error) {
	var e *entry
	var err error
	ok := true
	otherwise := ""
	switch op.Verb {
	case "set":
		e = c.set(op.Key, op.Value, op.Flags)
	case "cas":
		e, ok = c.setIf(op.Key, op.Value, op.Flags, op.Index)
		otherwise = "failed to set key %q, index is stale"
	case "lock":
		e, ok, err = c.lock(op.Key, op.Value, op.Flags, op.Session)
		otherwise = "failed to lock key %q, lock is already held"
	case "unlock":
		e, ok, err = c.unlock(op.Key, op.Value, op.Flags, op.Session)
		otherwise = "failed to unlock key %q, lock isn't held, or is held by another session"
	case "delete":
		c.delete(op.Key)
	case "delete-tree":
		c.deleteTree(op.Key)
	case "delete-cas":
		ok = c.deleteIf(op.Key, op.Index)
		otherwise = "failed to delete key %q, index is stale"
	default:
		return nil, fmt.Errorf("unknown KV verb %q", op.Verb)
	}
	if err == nil && !ok {
		err = fmt.Errorf(otherwise, op.Key)
	}
	return e, err
}
