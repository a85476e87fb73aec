package inventory_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/inventory"
	"github.com/platypus-platform/platypus/intent"
)

// sheets are the example sheets and their readers.
var sheets = map[string]func([]byte) (inventory.Result, error){
	"fly_io_regions.csv": inventory.ReadRegions,
	"machine.csv":        func(data []byte) (inventory.Result, error) { return inventory.ReadMachines(data, codes) },
}

var codes = []string{"DEN", "ARN", "BOM", "GDL", "GRU", "HKG", "JNB", "MEL", "NRT", "SIN"}

func sheet(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../../../testdata/fleet", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestExamples(t *testing.T) {
	regions, err := inventory.ReadRegions(sheet(t, "fly_io_regions.csv"))
	if err != nil || len(regions.Records) != 35 || regions.Errors != 0 || len(regions.Problems) != 3 {
		t.Fatalf("%d regions, %v, %v", len(regions.Records), regions.Problems, err)
	}
	places := map[string]string{}
	for _, r := range regions.Records {
		places[r.Key] = string(r.Fields[0].Value)
		if problems := intent.Check(r.Key, merged(t, nil, r)); len(problems) > 0 {
			t.Errorf("%s: %v", r.Key, problems)
		}
	}
	for key, want := range map[string]string{"regions/HKG": `"Hong Kong"`, "regions/SIN": `"Singapore"`, "regions/YYZ": `"Toronto, Canada"`, "regions/BOG": `"Bogotá, Colombia"`} {
		if places[key] != want {
			t.Errorf("%s is in %s, want %s", key, places[key], want)
		}
	}
	machines, err := inventory.ReadMachines(sheet(t, "machine.csv"), codes)
	if err != nil || len(machines.Records) != 99 || len(machines.Problems) != 0 {
		t.Fatalf("%d machines, %v, %v", len(machines.Records), machines.Problems, err)
	}
	all := ""
	for _, r := range machines.Records {
		value := merged(t, nil, r)
		all += r.Key + string(value)
		if problems := intent.Check(r.Key, value); len(problems) > 0 {
			t.Errorf("%s: %v", r.Key, problems)
		}
	}
	for _, secret := range []string{"not-a-password", "not-a-token", "example-user", "/etc/example"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is taken over", secret)
		}
	}
	if want := `machines/GRU/localhost-8504{"cores":32,"memory":"2TB","address":"localhost:8504","datacenter":"gru-a"}`; !strings.Contains(all, want) {
		t.Errorf("no %s", want)
	}
}

func merged(t *testing.T, before []byte, r inventory.Record) []byte {
	t.Helper()
	value, err := inventory.Merge(before, r)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// corruptions are ways to damage a cell. The result is never a valid cell of any column.
var corruptions = map[string]func(string) string{
	"a stray quote":       func(s string) string { return s[:len(s)/2] + `"` + s[len(s)/2:] },
	"a quote not closed":  func(s string) string { return `"` + s },
	"a comma":             func(s string) string { return s[:len(s)/2] + "," + s[len(s)/2:] },
	"half a rune":         func(s string) string { return s + "\xc3" },
	"a control character": func(s string) string { return s + "\x00x" },
	"a bell":              func(s string) string { return "\a" + s },
	"endless text":        func(s string) string { return s + strings.Repeat("x", 5000) },
	"markup":              func(s string) string { return "<script>alert('" + s + "')</script>" },
}

// Damages each cell of each row in each way: the damage is reported with its line, and no other row changes.
func TestEveryCellDamaged(t *testing.T) {
	for name, read := range sheets {
		data := sheet(t, name)
		sound, err := read(data)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n")
		tries, kinds := 0, slices.Sorted(maps.Keys(corruptions))
		for n := 1; n < len(lines); n++ {
			cells := cut(lines[n])
			for c := range cells {
				for d, what := range kinds {
					if n > 3 && (n+c)%len(kinds) != d {
						continue // the first rows get every corruption, the others one for each cell
					}
					damage := corruptions[what]
					tries++
					broken := slices.Clone(cells)
					if quoted := strings.HasPrefix(broken[c], `"`); quoted && (what == "a comma" || what == "a quote not closed") {
						continue // a quoted comma is text, and two quotes are one
					}
					broken[c] = damage(broken[c])
					changed := slices.Clone(lines)
					changed[n] = strings.Join(broken, ",")
					where := fmt.Sprintf("%s line %d cell %d: %s", name, n+1, c+1, what)
					costsNoOther(t, where, n+1, sound, must(read([]byte(strings.Join(changed, "\n")))))
				}
			}
		}
		t.Logf("%s: %d damages", name, tries)
	}
}

func must(r inventory.Result, err error) inventory.Result {
	if err != nil {
		panic(err)
	}
	return r
}

// cut splits a valid line and keeps the quotes.
func cut(line string) (cells []string) {
	quoted, from := false, 0
	for i, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ',' && !quoted:
			cells, from = append(cells, line[from:i]), i+1
		}
	}
	return append(cells, line[from:])
}

func costsNoOther(t *testing.T, where string, line int, sound, got inventory.Result) {
	t.Helper()
	told := slices.IndexFunc(got.Problems, func(p inventory.Problem) bool { return p.Line == line && p.Col > 0 && len(p.Text) > 10 })
	if told < 0 {
		t.Errorf("%s is not told: %v", where, got.Problems)
	}
	for _, p := range got.Problems {
		if strings.Contains(p.Text, "not-a-") || strings.Contains(p.Text, "example-user") {
			t.Errorf("%s: the message repeats a secret: %s", where, p.Text)
		}
		if strings.ContainsAny(p.Text, "\x00\a\n") || len(p.Text) > 500 {
			t.Errorf("%s: the message is not fit for a terminal: %q", where, p.Text)
		}
	}
	byLine := map[int]inventory.Record{}
	for _, r := range got.Records {
		byLine[r.Line] = r
	}
	for _, want := range sound.Records {
		if have := byLine[want.Line]; want.Line != line && !sameValue(have, want) {
			t.Errorf("%s costs line %d: %v, want %v", where, want.Line, have, want)
		}
	}
}

func sameValue(a, b inventory.Record) bool {
	fields := func(x, y inventory.Field) bool { return x.Name == y.Name && bytes.Equal(x.Value, y.Value) }
	return a.Key == b.Key && slices.EqualFunc(a.Fields, b.Fields, fields) && slices.EqualFunc(a.Initial, b.Initial, fields)
}

// A missing required cell is reported; an ignored cell may be empty.
func TestEmptiedCells(t *testing.T) {
	for name, read := range sheets {
		lines := strings.Split(strings.TrimPrefix(string(sheet(t, name)), "\ufeff"), "\n")
		for c, column := range strings.Split(lines[0], ",") {
			cells := cut(lines[1])
			cells[c] = ""
			got := must(read([]byte(strings.Join([]string{lines[0], strings.Join(cells, ","), lines[2]}, "\n"))))
			needed := slices.Contains([]string{"code", "location", "status", "region", "address", "memory_total", "cores_total"}, column)
			if column == "status" && name == "machine.csv" {
				needed = false
			}
			if wantRows := map[bool]int{true: 1, false: 2}[needed]; len(got.Records) != wantRows || needed != (got.Errors == 1) {
				t.Errorf("%s without %s: %d rows, %v", name, column, len(got.Records), got.Problems)
			}
		}
	}
}

// A sheet whose columns cannot be identified declares nothing; a missing ignored column is a warning.
func TestDamagedHeader(t *testing.T) {
	for name, read := range sheets {
		lines := strings.SplitN(strings.TrimPrefix(string(sheet(t, name)), "\ufeff"), "\n", 2)
		header := strings.Split(lines[0], ",")
		for c, column := range header {
			broken := slices.Clone(header)
			broken[c] += "x"
			got, err := read([]byte(strings.Join(broken, ",") + "\n" + lines[1]))
			switch {
			case err != nil && strings.Contains(err.Error(), column) && strings.HasPrefix(err.Error(), "1:"):
			case err == nil && len(got.Problems) > 0 && got.Problems[0].Line == 1 && strings.Contains(got.Problems[0].Text, column+"x"):
			default:
				t.Errorf("%s, header %sx: %v, %v", name, column, got.Problems, err)
			}
		}
	}
	for _, text := range []string{"", "\ufeff", "\n\n", "a,b\n1,2", "code,code,location,status\nA,B,C,D", "code,\"location,status\n"} {
		if got, err := inventory.ReadRegions([]byte(text)); err == nil || len(got.Records) > 0 {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// Each row is a single mistake and its message.
func TestRows(t *testing.T) {
	const head = "region,address,memory_total,cores_total,memory_allocated,status\n"
	for row, want := range map[string]string{
		"SIN,h:1,2000000000000,0,0,available":            `2:23: cores_total "0" is not a whole number of cores from 1 to 65536`,
		"SIN,h:1,-5,32,0,available":                      `2:9: memory_total "-5" is not`,
		"SIN,h:1,2TB,32,0,available":                     `2:9: memory_total "2TB" is not`,
		"SIN,h:1,99999999999999999999,32,0,available":    "2:9: memory_total",
		"SIN,http://u:p@h:1,2000000000000,32,0,ready":    "2:5: cell \"address\" holds more than host:port",
		"SIN,h,2000000000000,32,0,available":             `2:5: address "h" is not host:port`,
		"SIN,h:0,2000000000000,32,0,available":           `2:5: address "h:0" is not host:port`,
		"SINN,h:1,2000000000000,32,0,available":          `2:1: region "SINN" is not declared: is SIN meant? There are DEN`,
		"sin/../x,h:1,2000000000000,32,0,available":      "2:1: cell \"region\"",
		"SIN,h:1,2000000000000,32,7,available":           "2:26: warning: memory_allocated 7 is left out: what is allocated stands in the ledger",
		"SIN,h:1,2000000000000,32,0,broken":              "it is cordoned",
		"SIN,h:1,2000000000000,32,0":                     "the row has 5 cells and the header 6",
		"SIN,[fe80::1%eth0]:1,2000000000000,32,0,broken": "it is cordoned",
	} {
		got, err := inventory.ReadMachines([]byte(head+row), codes)
		if err != nil || !slices.ContainsFunc(got.Problems, func(p inventory.Problem) bool { return strings.Contains(p.String(), want) }) {
			t.Errorf("%s: %v, %v, want %s", row, got.Problems, err, want)
		}
	}
	two := head + "SIN,a:1,2000000000000,32,0,available\nSIN,a:1,2000000000000,32,0,available\nSIN,a:2,2000000000000,32,0,available"
	got, err := inventory.ReadMachines([]byte(two), codes)
	if err != nil || len(got.Records) != 2 || got.Errors != 1 || got.Records[0].Key != "machines/SIN/a-1" || got.Records[1].Key != "machines/SIN/a-2" {
		t.Errorf("%v %v %v", got.Records, got.Problems, err)
	}
}

func TestMerge(t *testing.T) {
	read := must(inventory.ReadMachines([]byte("region,address,memory_total,cores_total,status\nSIN,a:1,2000000000000,32,offline"), nil))
	r := read.Records[0]
	fresh := merged(t, nil, r)
	if want := `{"cores":32,"memory":"2TB","address":"a:1","state":"cordoned"}`; string(fresh) != want {
		t.Errorf("%s, want %s", fresh, want)
	}
	for before, want := range map[string]string{
		string(fresh): string(fresh),
		`{"memory": "2000GB", "cores": 32, "address":"a:1", "state":"draining", "labels":{"a":"b"}}`: "",
		`{"cores":16,"memory":"2TB","address":"a:1","state":"draining","reserved":{"cores":1}}`:      `{"cores":32,"memory":"2TB","address":"a:1","state":"draining","reserved":{"cores":1}}`,
		`{"Cores":32,"memory":"1TB"}`: `{"Cores":32,"memory":"2TB","address":"a:1"}`,
	} {
		if want == "" {
			want = before // unchanged, to the byte
		}
		if got := merged(t, []byte(before), r); string(got) != want {
			t.Errorf("%s becomes %s, want %s", before, got, want)
		}
	}
	for _, before := range []string{"", "null", "[]", "{", `"x"`} {
		if got, err := inventory.Merge([]byte(before), r); err == nil {
			t.Errorf("%q is written over with %s", before, got)
		}
	}
	if !json.Valid(fresh) || bytes.Contains(fresh, []byte("\n")) {
		t.Errorf("%s", fresh)
	}
}

func FuzzMachines(f *testing.F) {
	f.Add([]byte("region,address,memory_total,cores_total\nSIN,a:1,2000000000000,32\n\"\n,,,\n"))
	f.Add([]byte("code,location,status\nSIN, SingaporeOperational,Operational"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range sheets {
			got, err := read(data)
			if err != nil {
				continue
			}
			for _, r := range got.Records {
				value, err := inventory.Merge(nil, r)
				if problems := intent.Check(r.Key, value); err != nil || problems.Err() != nil {
					t.Errorf("%s %s: %v %v", r.Key, value, err, problems)
				}
			}
		}
	})
}
