package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// changed tells of one value that became another; nil stands for a value that was not there or could not be read.
func changed(key string, before, after any) []Change {
	switch noun := cmp.Or(after, before).(type) {
	case intent.Region:
		return regionChanged(key, before, noun, after == nil)
	case intent.Machine:
		return machineChanged(key, before, noun, after == nil)
	case intent.VM:
		return vmChanged(key, before, noun, after == nil)
	case intent.Placement:
		return placementChanged(key, before, noun, after == nil)
	}
	return nil
}

func newChange(kind, subject, phase, format string, args ...any) []Change {
	return []Change{{Kind: kind, Subject: subject, Phase: phase, Text: fmt.Sprintf(format, args...)}}
}

func regionChanged(code string, before any, r intent.Region, gone bool) []Change {
	old, had := before.(intent.Region)
	switch {
	case gone:
		return newChange("region", code, "gone", "is no longer declared")
	case !had:
		return newChange("region", code, "", "declared: %s", r.Location)
	case old.Status != r.Status:
		return newChange("region", code, "", "%s, was %s", r.Status, old.Status)
	}
	return nil
}

func machineChanged(key string, before any, m intent.Machine, gone bool) []Change {
	region, name, _ := strings.Cut(key, "/")
	old, had := before.(intent.Machine)
	var c []Change
	switch {
	case gone:
		c = newChange("machine", name, "gone", "is no longer declared in %s", region)
	case !had:
		c = newChange("machine", name, "", "declared in %s: %d cores, %s", region, m.Cores, Bytes(int64(m.Memory)))
	case stateOf(old) != stateOf(m):
		c = newChange("machine", name, stateOf(m), "%s, was %s", stateOf(m), stateOf(old))
	case old.Cores != m.Cores || old.Memory != m.Memory:
		c = newChange("machine", name, "", "%d cores, %s; had %d cores, %s", m.Cores, Bytes(int64(m.Memory)), old.Cores, Bytes(int64(old.Memory)))
	case old.Reserved != m.Reserved:
		c = newChange("machine", name, "", "keeps %d cores, %s for itself", m.Reserved.Cores, Bytes(int64(m.Reserved.Memory)))
	default:
		return nil
	}
	c[0].Machine = name
	return c
}

func stateOf(m intent.Machine) string { return string(cmp.Or(m.State, intent.MachineReady)) }

func vmChanged(name string, before any, v intent.VM, gone bool) []Change {
	old, had := before.(intent.VM)
	switch {
	case gone:
		return newChange("vm", name, "gone", "is no longer wanted")
	case !had:
		return newChange("vm", name, "", "wanted: %s", wants(v))
	case old.Count != v.Count:
		return newChange("vm", name, "", "%d wanted, before %d", v.Count, old.Count)
	}
	return newChange("vm", name, "", "changed: %s", wants(v))
}

func wants(v intent.VM) string {
	regions := make([]string, 0, len(v.Region))
	for _, r := range v.Region {
		regions = append(regions, string(r))
	}
	return fmt.Sprintf("%d × %d cores, %s in %s", v.Count, v.Cores, Bytes(int64(v.Memory)), strings.Join(regions, ", "))
}

func placementChanged(instance string, before any, p intent.Placement, gone bool) []Change {
	old, _ := before.(intent.Placement)
	switch {
	case gone:
		return newChange("vm", instance, "gone", "released%s", from(p))
	case p.State == intent.Placed && old.Machine != p.Machine:
		c := newChange("vm", instance, "placed", "placed on %s in %s", p.Machine, p.Region)
		c[0].Machine = string(p.Machine)
		return c
	case p.State == intent.Pending && old.State != intent.Pending:
		return newChange("vm", instance, "pending", "pending: %s", Clip(p.Reason))
	}
	return nil
}

func from(p intent.Placement) string {
	if p.Machine == "" {
		return ""
	}
	return " from " + string(p.Machine)
}

// maxListedChanges is how many changes of one kind are told one by one when they come at once.
const maxListedChanges = 12

// record keeps the newest of what was seen to change. Many at once, such as an import, become one line.
func (r *Reader) record(news []Change) {
	if len(news) == 0 {
		return
	}
	slices.SortStableFunc(news, func(a, b Change) int { return cmp.Compare(a.Subject, b.Subject) })
	if n := len(news); n > maxListedChanges {
		first := news[0]
		news = newChange(first.Kind, fmt.Sprintf("%d %ss", n, first.Kind), "", "changed at once, such as %s: %s", first.Subject, first.Text)
	}
	now := r.now().UTC()
	for i := range news {
		news[i].At = now
	}
	r.changeLog = append(news, r.changeLog...)
	r.changeLog = r.changeLog[:min(len(r.changeLog), maxChanges)]
}

// Bytes is an amount of memory for a person: three digits and a decimal unit.
func Bytes(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	value, unit := float64(n), 0
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	text := fmt.Sprintf("%.3g", value)
	return text + " " + units[unit]
}
