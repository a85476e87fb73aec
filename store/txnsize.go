package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/consul/api"
)

// Fits returns an [ErrTooLarge] that names the limit which a transaction of these changes exceeds, or nil.
func Fits(changes []Change) error {
	if len(changes) > MostOps {
		return fmt.Errorf("commit %d changes: %w: at most %d go into one transaction", len(changes), ErrTooLarge, MostOps)
	}
	if size := Size(changes); size > MaxBody {
		return fmt.Errorf("commit %d changes: %w: a transaction of %d bytes, at most %d", len(changes), ErrTooLarge, size, MaxBody)
	}
	return nil
}

// Size is the request size of a transaction in bytes, which Consul limits. Values are sent in base64.
func Size(changes []Change) int {
	size := len("[]\n") + len(changes) // the commas
	for _, op := range txnOps(changes) {
		value := op.KV.Value
		op.KV.Value = nil
		bare, err := json.Marshal(op)
		if err != nil {
			continue // cannot happen
		}
		size += len(bare) + len(`""`) + base64.StdEncoding.EncodedLen(len(value))
	}
	return size
}

func txnOps(changes []Change) api.TxnOps {
	ops := make(api.TxnOps, 0, len(changes))
	for _, c := range changes {
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVOp(c.Verb), Key: c.Key, Value: c.Value, Index: c.Index, Flags: c.Flags}})
	}
	return ops
}
