package main

import (
	"encoding/json"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// Record is what lies in an install as intent.Marker. It is written last, so an install that has one is complete.
type Record struct {
	App       intent.Name `json:"app"`
	Version   intent.Name `json:"version"`
	Node      intent.Name `json:"node,omitempty"` // that it was brought for first
	SHA256    string      `json:"sha256"`         // of the artifact
	Size      int64       `json:"size"`           // of the artifact, in bytes
	Bytes     int64       `json:"bytes"`          // of the content
	Files     int         `json:"files"`          // files, links and directories
	Source    string      `json:"source"`         // address without credentials
	Verified  string      `json:"verified"`       // what vouched for the digest
	Installed time.Time   `json:"installed"`
}

// maxRecord bounds what is read of a record, in bytes.
const maxRecord = 64 << 10

func (r Record) encode() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	return append(data, '\n'), err
}

// decodeRecord reads a record; ok tells whether it is one.
func decodeRecord(data []byte) (r Record, ok bool) {
	return r, json.Unmarshal(data, &r) == nil && r.App != "" && r.Version != "" && r.SHA256 != ""
}
