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
	maxTxnBody = 512 << 10 // bytes of a transaction, values in base64
)

// txnOp is one operation as the client sends it. Only the KV can be changed this way; the others are null or absent.
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

// errFailed drops a transaction whose errors are in its response.
var errFailed = errors.New("transaction failed")

var reads = []string{"get", "get-tree", "get-or-empty", "check-index", "check-session", "check-not-exists"}

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
	writes := slices.ContainsFunc(ops, func(op kvOp) bool { return !slices.Contains(reads, op.Verb) })
	if !writes {
		if _, err := c.options(); err != nil {
			return nil, err
		}
		c.contact()
		answer := c.store.runTxn(newChange(*c.store.view.Load()), ops)
		return c.answerTxn(answer)
	}
	var answer txnResponse
	_, err = c.store.propose(c.r.Context(), func(x *change) (any, error) {
		if answer = c.store.runTxn(x, ops); len(answer.Errors) > 0 {
			return nil, errFailed
		}
		return nil, nil
	})
	if err != nil && !errors.Is(err, errFailed) {
		return nil, err
	}
	return c.answerTxn(answer)
}

func (c *call) answerTxn(answer txnResponse) (any, error) {
	if len(answer.Errors) == 0 {
		return answer, nil
	}
	c.send(http.StatusConflict, answer)
	return nil, nil
}

// parseTxn reads the operations of a transaction and refuses what no transaction may hold.
func parseTxn(body []byte) ([]kvOp, error) {
	var in []txnOp
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, badRequest("Failed to parse body: %v", err)
	}
	if len(in) > maxOps {
		return nil, status{http.StatusRequestEntityTooLarge,
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

// checkKey refuses keys that a URL cannot say without being taken for another path, as newer Consuls do, and keys that
// the log cannot keep.
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

// runTxn applies all operations. If it returns errors the change must be dropped.
func (s *Store) runTxn(x *change, ops []kvOp) txnResponse {
	var answer txnResponse
	for i, op := range ops {
		switch {
		case op.Key == "" && op.Verb != "delete-tree":
			answer.Errors = append(answer.Errors, txnError{i, "Must provide key"})
		case op.Verb == "lock" && s.delays.active(op.Key):
			answer.Errors = append(answer.Errors, txnError{i, fmt.Sprintf("failed to lock key %q due to lock delay", op.Key)})
		}
	}
	if len(answer.Errors) > 0 {
		return answer
	}
	answer.Results = []txnResult{}
	for i, op := range ops {
		results, err := x.run(op)
		if err != nil {
			answer.Errors = append(answer.Errors, txnError{i, err.Error()})
		}
		answer.Results = append(answer.Results, results...)
	}
	if len(answer.Errors) > 0 {
		answer.Results = nil
	}
	return answer
}
