package embedded

import "fmt"

// runOp applies one operation of a transaction and returns its results. Only get operations return values.
func (m *mutation) runOp(op kvOp) ([]txnResult, error) {
	switch op.Verb {
	case "get", "get-or-empty", "get-tree":
		return m.runGet(op)
	case "check-index", "check-session", "check-not-exists":
		return m.runCheck(op)
	}
	e, err := m.runWrite(op)
	if err != nil || e == nil {
		return nil, err
	}
	return withoutValue(e), nil
}

func withoutValue(e *entry) []txnResult {
	shown := *e
	shown.Value = nil
	return []txnResult{{&shown}}
}

func (m *mutation) runGet(op kvOp) ([]txnResult, error) {
	if op.Verb == "get-tree" {
		var results []txnResult
		m.list(op.Key, func(e *entry) { results = append(results, txnResult{e}) })
		return results, nil
	}
	e, found := m.kv.Get([]byte(op.Key))
	if !found {
		if op.Verb == "get" {
			return nil, fmt.Errorf("key %q doesn't exist", op.Key)
		}
		e = &entry{Key: op.Key, Flags: op.Flags, Session: op.Session, indexes: indexes{ModifyIndex: op.Index}}
	}
	return []txnResult{{e}}, nil
}

func (m *mutation) runCheck(op kvOp) ([]txnResult, error) {
	e, found := m.kv.Get([]byte(op.Key))
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
	return withoutValue(e), nil
}

func (m *mutation) runWrite(op kvOp) (*entry, error) {
	var e *entry
	var err error
	ok := true
	failure := ""
	switch op.Verb {
	case "set":
		e = m.set(op.Key, op.Value, op.Flags)
	case "cas":
		e, ok = m.compareAndSet(op.Key, op.Value, op.Flags, op.Index)
		failure = "failed to set key %q, index is stale"
	case "lock":
		e, ok, err = m.lock(op.Key, op.Value, op.Flags, op.Session)
		failure = "failed to lock key %q, lock is already held"
	case "unlock":
		e, ok, err = m.unlock(op.Key, op.Value, op.Flags, op.Session)
		failure = "failed to unlock key %q, lock isn't held, or is held by another session"
	case "delete":
		m.delete(op.Key)
	case "delete-tree":
		m.deleteTree(op.Key)
	case "delete-cas":
		ok = m.compareAndDelete(op.Key, op.Index)
		failure = "failed to delete key %q, index is stale"
	default:
		return nil, fmt.Errorf("unknown KV verb %q", op.Verb)
	}
	if err == nil && !ok {
		err = fmt.Errorf(failure, op.Key)
	}
	return e, err
}
