package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

const (
	maxOps     = 128
	maxTxnBody = 512 << 10 // bytes of the body, with values in base64
)

// txnOp is one operation of the request. Only KV operations are supported; the others must be null or absent.
type txnOp struct {
	KV      *kvOp
	Node    *json.RawMessage
	Service *json.RawMessage
	Check   *json.RawMessage
}

type kvOp struct {
	Verb    string
	Key     string
	Value   []byte
	Flags   uint64
	Index   uint64
	Session string
}

type txnResult struct{ KV *entry }

type txnError struct {
	OpIndex int
	What    string
}

type txnResponse struct {
	Results []txnResult
	Errors  []txnError
}

// errTxnFailed drops a transaction whose errors are in its response.
var errTxnFailed = errors.New("transaction failed")

var readVerbs = []string{"get", "get-tree", "get-or-empty", "check-index", "check-session", "check-not-exists"}

func (c *call) txn() (any, error) {
	if size := c.r.ContentLength; size > maxTxnBody {
		return nil, tooLarge(size, maxTxnBody)
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxTxnBody))
	if err != nil {
		return nil, err
	}
	ops, err := parseTxn(body)
	if err != nil {
		return nil, err
	}
	writes := slices.ContainsFunc(ops, func(op kvOp) bool { return !slices.Contains(readVerbs, op.Verb) })
	if !writes {
		if _, err := c.queryOptions(); err != nil {
			return nil, err
		}
		c.setLeaderHeaders()
		response := c.store.runTxn(newMutation(*c.store.snapshot.Load()), ops)
		return c.respondTxn(response)
	}
	var response txnResponse
	_, err = c.store.submit(c.r.Context(), func(m *mutation) (any, error) {
		if response = c.store.runTxn(m, ops); len(response.Errors) > 0 {
			return nil, errTxnFailed
		}
		return nil, nil
	})
	if err != nil && !errors.Is(err, errTxnFailed) {
		return nil, err
	}
	return c.respondTxn(response)
}

func (c *call) respondTxn(response txnResponse) (any, error) {
	if len(response.Errors) == 0 {
		return response, nil
	}
	c.writeJSON(http.StatusConflict, response)
	return nil, nil
}

// parseTxn reads and validates the operations of a transaction.
func parseTxn(body []byte) ([]kvOp, error) {
	var in []txnOp
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, badRequest("Failed to parse body: %v", err)
	}
	if len(in) > maxOps {
		return nil, httpError{http.StatusRequestEntityTooLarge,
			fmt.Sprintf("Transaction contains too many operations (%d > %d)", len(in), maxOps)}
	}
	var ops []kvOp
	for _, op := range in {
		if op.Node != nil || op.Service != nil || op.Check != nil {
			return nil, badRequest("Failed to parse body: this store takes KV operations only")
		}
		if op.KV == nil {
			continue
		}
		if err := checkKey(op.KV.Key); err != nil {
			return nil, err
		}
		if len(op.KV.Value) == 0 {
			op.KV.Value = nil
		}
		ops = append(ops, *op.KV)
	}
	return ops, nil
}

// checkKey rejects keys that a URL path cannot represent, as newer Consul versions do, and keys that are too long for
// the bbolt file.
func checkKey(key string) error {
	if len(key) > maxKey {
		return badRequest("Key is too long (%d > %d bytes)", len(key), maxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == ".." || segment == "." {
			return badRequest("Invalid key %q: path traversal", key)
		}
	}
	return nil
}

// runTxn applies all operations. If the response has errors, the caller must drop the mutation.
func (s *Store) runTxn(m *mutation, ops []kvOp) txnResponse {
	var response txnResponse
	for i, op := range ops {
		switch {
		case op.Key == "" && op.Verb != "delete-tree":
			response.Errors = append(response.Errors, txnError{i, "Must provide key"})
		case op.Verb == "lock" && s.delays.active(op.Key):
			response.Errors = append(response.Errors, txnError{i, fmt.Sprintf("failed to lock key %q due to lock delay", op.Key)})
		}
	}
	if len(response.Errors) > 0 {
		return response
	}
	response.Results = []txnResult{}
	for i, op := range ops {
		results, err := m.runOp(op)
		if err != nil {
			response.Errors = append(response.Errors, txnError{i, err.Error()})
		}
		response.Results = append(response.Results, results...)
	}
	if len(response.Errors) > 0 {
		response.Results = nil
	}
	return response
}
