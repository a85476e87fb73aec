package intent

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Region is a place where machines stand: the value of regions/<code>.
type Region struct {
	Location string `json:"location,omitempty"` // for people
	Status   string `json:"status,omitempty"`   // for people, such as "Operational"; it decides nothing
	Policy   Policy `json:"policy,omitempty"`   // how vms are laid over its machines; PolicyPack when unset
}

// Policy is how vms are laid over the machines of a region.
type Policy string

// The policies.
const (
	PolicyPack   Policy = "pack"   // fill machines that are in use, so that large vms find room
	PolicySpread Policy = "spread" // use what is emptiest, so that a lost machine takes few vms along
)

func (r *Region) check(p *parser, v *value, pointer string) {
	if r.Policy != "" && r.Policy != PolicyPack && r.Policy != PolicySpread {
		p.errorf(v.memberNamed("policy"), pointer+"/policy", "policy %q is not pack or spread", truncate(string(r.Policy)))
	}
	checkShortText(p, v, pointer, "location", r.Location)
	checkShortText(p, v, pointer, "status", r.Status)
}

// maxText bounds what is only for people to read.
const maxText = 256

// checkShortText refuses what would spoil a table: control characters and endless text.
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

// AnyRegion stands for every region there is.
const AnyRegion Name = "any"

// Regions are where a vm may be placed, best first. It is written as one code, as a list of them, or as "any", which
// may also end a list: "rather here, otherwise anywhere".
type Regions []Name

// MarshalJSON writes a single region without a list around it.
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
