package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
)

func regionsVerb() verb {
	return verb{
		name: "regions", usage: "list the regions, and how much is free in each", maxArgs: 0,
		text: `One line for each region: its status, how many machines it has, what is free of all their cores and memory, the
largest vm that fits onto one of them now, and when any of it last changed (UTC), as far as the history of intent and the
reports of agents tell. --filter takes a status such as "Degraded Performance", or online, maintenance or offline.`,
		examples: []string{"platypus regions", "platypus regions --filter online --sort machines -o json"},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "filter", Usage: "only regions of this `STATUS`, or online, maintenance, offline"},
			&cli.StringFlag{Name: "sort", Usage: "code, location, status, machines, free or update", Value: "code"},
			outputFlag(),
		},
		run: regions,
	}
}

// regionRow is one line of the table.
type regionRow struct {
	Code     intent.Name `json:"code"`
	Location string      `json:"location"`
	Status   string      `json:"status"`
	Machines []string    `json:"machines"`
	VMs      int         `json:"vms"`
	Total    intent.Share
	Free     intent.Share
	Largest  intent.Share
	Updated  time.Time
}

// document returns a row for programs.
func (r regionRow) document() map[string]any {
	d := map[string]any{"code": r.Code, "location": r.Location, "status": r.Status, "machines": r.Machines, "vms": r.VMs,
		"total": shareJSON(r.Total), "free": shareJSON(r.Free), "largest": shareJSON(r.Largest), "updated_at": nil}
	if !r.Updated.IsZero() {
		d["updated_at"] = r.Updated.UTC()
	}
	return d
}

// shareJSON returns a share for programs: memory in bytes, so that no units need parsing.
func shareJSON(s intent.Share) map[string]any {
	return map[string]any{"cores": s.Cores, "memory_bytes": int64(s.Memory)}
}

func regions(ctx context.Context, cmd *command) error {
	now, err := cmd.readInventory(ctx)
	if err != nil {
		return err
	}
	all := now.regionRows()
	rows := slices.DeleteFunc(slices.Clone(all), func(r regionRow) bool { return !statusIs(r.Status, cmd.flags.String("filter")) })
	err = sortRows(rows, cmd.flags.String("sort"), map[string]func(a, b regionRow) int{
		"code":     func(a, b regionRow) int { return cmp.Compare(a.Code, b.Code) },
		"location": func(a, b regionRow) int { return cmp.Compare(a.Location, b.Location) },
		"status":   func(a, b regionRow) int { return cmp.Compare(rank(a.Status), rank(b.Status)) },
		"machines": func(a, b regionRow) int { return cmp.Compare(len(b.Machines), len(a.Machines)) },
		"free":     func(a, b regionRow) int { return cmp.Compare(b.Free.Cores, a.Free.Cores) },
		"update":   func(a, b regionRow) int { return b.Updated.Compare(a.Updated) },
	})
	if err != nil {
		return err
	}
	if cmd.json {
		documents := make([]map[string]any, 0, len(rows))
		for _, r := range rows {
			documents = append(documents, r.document())
		}
		return cmd.printJSON("regions", map[string]any{"index": now.index, "regions": documents})
	}
	if len(rows) == 0 {
		cmd.infof("%s", noRegions(all, cmd.flags.String("filter")))
		return nil
	}
	cells := make([][]string, 0, len(rows))
	for _, r := range rows {
		largest := ""
		if r.Largest.Cores > 0 && r.Largest.Memory > 0 {
			largest = strconv.Itoa(r.Largest.Cores) + " × " + shortSize(r.Largest.Memory)
		}
		cells = append(cells, []string{string(r.Code), r.Location, r.Status, strconv.Itoa(len(r.Machines)), strconv.Itoa(r.VMs),
			ofCores(r.Free.Cores, r.Total.Cores), ofMemory(r.Free.Memory, r.Total.Memory), largest, utcTime(r.Updated)})
	}
	cmd.printTable([]string{"CODE", "LOCATION", "STATUS", "MACHINES", "VMS", "CORES FREE", "MEMORY FREE", "LARGEST FIT", "LAST UPDATE"}, cells)
	return nil
}

// regionRows sums up the machines of each region. An unusable machine counts as present, but not as free.
func (n inventoryState) regionRows() []regionRow {
	byCode := map[intent.Name]*regionRow{}
	for _, code := range n.Codes() {
		r := n.Regions[code]
		byCode[code] = &regionRow{Code: code, Location: r.Location, Status: cmp.Or(r.Status, "not declared"), Machines: []string{}, Updated: n.updated[string(code)]}
		if _, declared := n.Regions[code]; declared && r.Status == "" {
			byCode[code].Status = ""
		}
	}
	for _, m := range n.Fleet.Machines {
		r := byCode[m.Region]
		if r == nil {
			continue
		}
		r.VMs += len(m.Ledger.Entries)
		if m.Index == 0 {
			continue
		}
		r.Machines = append(r.Machines, string(m.Name()))
		r.Total = r.Total.Plus(m.Spec.Whole())
		if free := m.Free(); machineState(m) == "ready" && free.Cores > 0 && free.Memory > 0 {
			r.Free = r.Free.Plus(free)
			if larger(free, r.Largest) {
				r.Largest = free
			}
		}
	}
	rows := make([]regionRow, 0, len(byCode))
	for _, code := range n.Codes() {
		rows = append(rows, *byCode[code])
	}
	return rows
}

func larger(a, b intent.Share) bool {
	return a.Cores > b.Cores || a.Cores == b.Cores && a.Memory > b.Memory
}

// rank orders statuses as fly-cli did: operational, degraded, down.
func rank(status string) int {
	switch s := strings.ToLower(status); {
	case s == "operational" || s == "online":
		return 0
	case strings.Contains(s, "maintenance") || strings.Contains(s, "degraded"):
		return 1
	case strings.Contains(s, "outage") || s == "offline":
		return 3
	}
	return 2
}

// statusIs reports whether a region with that status matches the filter.
func statusIs(status, filter string) bool {
	class := map[string]int{"online": 0, "maintenance": 1, "offline": 3}
	wanted, isClass := class[strings.ToLower(filter)]
	return filter == "" || strings.EqualFold(status, filter) || isClass && rank(status) == wanted
}

// noRegions says why the table is empty.
func noRegions(all []regionRow, filter string) string {
	if len(all) == 0 {
		return "no region is declared; next: platypus import regions FILE.csv"
	}
	var statuses []string
	for _, r := range all {
		if !slices.Contains(statuses, r.Status) {
			statuses = append(statuses, r.Status)
		}
	}
	slices.Sort(statuses)
	return "no region is " + filter + "; there are: " + strings.Join(statuses, ", ")
}
