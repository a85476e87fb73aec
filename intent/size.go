package intent

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Size is an amount of memory in bytes. It is written with its unit, as in "8GB" (8e9) or "8GiB" (2^33), because a bare
// number means bytes to some and gigabytes to others.
type Size int64

// The units that people use most.
const (
	MB Size = 1e6
	GB Size = 1e9
	TB Size = 1e12
)

// MaxSize is the largest size there is: 1 PB, far above what one machine holds.
const MaxSize Size = 1e15

// units are all that a size may be written in, largest first, decimal before binary.
var units = []struct {
	name  string
	bytes int64
}{
	{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
}

// ParseSize reads a number and its unit, such as "8GB", "1.5 TB" or "512mib": the case of the unit does not count. The
// result is within 1 byte and [MaxSize].
func ParseSize(s string) (Size, error) {
	text := strings.TrimSpace(s)
	at := strings.LastIndexAny(text, "0123456789.") + 1
	number, unit := text[:at], strings.TrimSpace(text[at:])
	if unit == "" && number != "" {
		return 0, fmt.Errorf("size %q has no unit: write one, as in \"8GB\" or \"512MiB\"", truncate(s))
	}
	for _, u := range units {
		if strings.EqualFold(unit, u.name) {
			return multiplyExact(s, number, u.bytes)
		}
	}
	return 0, fmt.Errorf("%q is not a size such as \"8GB\" or \"512MiB\"", truncate(s))
}

// ParseGB reads what fly-light's flags take: a bare number is in GB, anything else is as in [ParseSize].
func ParseGB(s string) (Size, error) {
	text := strings.TrimSpace(s)
	if text != "" && strings.Trim(text, "+-0123456789.") == "" {
		return multiplyExact(s, text, int64(GB))
	}
	return ParseSize(s)
}

// multiplyExact is number times unit, exactly.
func multiplyExact(s, number string, unit int64) (Size, error) {
	if len(number) > 40 || strings.Trim(number, "0123456789.-+") != "" {
		return 0, fmt.Errorf("%q is not a size such as \"8GB\" or \"512MiB\"", truncate(s))
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, fmt.Errorf("%q is not a size such as \"8GB\" or \"512MiB\"", truncate(s))
	}
	r.Mul(r, new(big.Rat).SetInt64(unit))
	switch {
	case r.Sign() <= 0:
		return 0, fmt.Errorf("size %q must be more than nothing", truncate(s))
	case r.Cmp(new(big.Rat).SetInt64(int64(MaxSize))) > 0:
		return 0, fmt.Errorf("size %q is more than the largest there is, %s", truncate(s), MaxSize)
	case !r.IsInt():
		return 0, fmt.Errorf("size %q is not a whole number of bytes", truncate(s))
	}
	return Size(r.Num().Int64()), nil
}

// String is the shortest exact form, decimal when both are as short.
func (s Size) String() string {
	if s == 0 {
		return "0B"
	}
	best := ""
	for _, u := range units {
		if int64(s)%u.bytes != 0 {
			continue
		}
		if text := strconv.FormatInt(int64(s)/u.bytes, 10) + u.name; best == "" || len(text) < len(best) {
			best = text
		}
	}
	return best
}

// Short is for people: what is long when it is exact is rounded to a tenth of a gigabyte or megabyte.
func (s Size) Short() string {
	if exact := s.String(); len(exact) <= 6 {
		return exact
	}
	if s.abs() >= GB {
		return strconv.FormatFloat(float64(s)/float64(GB), 'f', 1, 64) + "GB"
	}
	return strconv.FormatFloat(float64(s)/float64(MB), 'f', 1, 64) + "MB"
}

func (s Size) abs() Size { return max(s, -s) }

// MarshalJSON writes a JSON string.
func (s Size) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads what MarshalJSON writes; nothing, "0B", is a size here.
func (s *Size) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("read size %s: %w", truncate(string(data)), err)
	}
	if text == "0B" {
		*s = 0
		return nil
	}
	size, err := ParseSize(text)
	*s = size
	return err
}

// Set makes a Size usable as a flag of fly-light's kind; see [ParseGB].
func (s *Size) Set(text string) (err error) {
	*s, err = ParseGB(text)
	return err
}

func (s *Size) read(p *parser, v *value, pointer string) {
	if v.kind == '0' {
		p.errorf(v, pointer, "size %s has no unit: write one, as in \"8GB\" or \"512MiB\"", truncate(v.text))
		return
	}
	if !p.expectKind(v, pointer, '"', "a size such as \"8GB\"") || v.text == "0B" {
		return
	}
	size, err := ParseSize(v.text)
	if err != nil {
		p.errorf(v, pointer, "%v", err)
	}
	*s = size
}
