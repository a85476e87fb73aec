package intent

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Region is a location of machines: the value of regions/<code>.
type Region struct {
	Location string `json:"location,omitempty"` // for people
	Status   string `json:"status,omitempty"`   // for people, such as "Operational"; it has no effect
	Policy   Policy `json:"policy,omitempty"`   // how vms are distributed over its machines; PolicyPack if unset
}

// Policy is how vms are distributed over the machines of a region.
type Policy string

// The policies.
const (
	PolicyPack   Policy = "pack"   // fill machines in use first, which leaves room for large vms
	PolicySpread Policy = "spread" // use the emptiest machines first, so that a lost machine affects few vms
)

func (r *Region) check(p *parser, v *value, pointer string) {
	if r.Policy != "" && r.Policy != PolicyPack && r.Policy != PolicySpread {
		p.errorf(v.memberNamed("policy"), pointer+"/policy", "policy %q is not pack or spread", truncate(string(r.Policy)))
	}
	checkShortText(p, v, pointer, "location", r.Location)
	checkShortText(p, v, pointer, "status", r.Status)
}

// maxText limits texts that are only for people.
const maxText = 256

// checkShortText rejects text that would break a table: control characters and excessive length.
func checkShortText(p *parser, v *value, pointer, member, text string) {
	if len(text) > maxText {
		p.errorf(v.memberNamed(member), pointer+"/"+member, "%s of %d bytes is too long: at most %d are allowed", member, len(text), maxText)
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			p.errorf(v.memberNamed(member), pointer+"/"+member, "%s holds the control character %q", member, r)
			return
		}
	}
}

// AnyRegion stands for every region.
const AnyRegion Name = "any"

// Regions are the allowed regions of a vm, best first. They are written as one code, as a list, or as "any", which may
// also end a list: prefer these, else any other.
type Regions []Name

// MarshalJSON writes a single region without a list.
func (r Regions) MarshalJSON() ([]byte, error) {
	if len(r) == 1 {
		return json.Marshal(r[0])
	}
	return json.Marshal([]Name(r))
}

func (r *Regions) read(p *parser, v *value, pointer string) {
	items := []*value{v}
	if v.kind == '[' {
		items = v.items
	}
	if len(items) == 0 {
		p.errorf(v, pointer, "region is an empty list: name at least one, or \"any\"")
	}
	for i, item := range items {
		at := pointer
		if v.kind == '[' {
			at = fmt.Sprintf("%s/%d", pointer, i)
		}
		if !p.expectKind(item, at, '"', "a region such as \"SIN\", a list of them or \"any\"") {
			continue
		}
		code, err := ParseName(item.text)
		switch {
		case err != nil:
			p.errorf(item, at, "%v", err)
		case slices.Contains(*r, code):
			p.errorf(item, at, "region %s stands here twice: keep one", code)
		case code == AnyRegion && i < len(items)-1:
			p.errorf(item, at, "\"any\" must come last: what follows it is never reached")
		}
		*r = append(*r, code)
	}
}
