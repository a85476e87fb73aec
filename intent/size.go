package intent

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Size is an amount of memory in bytes. It is written with its unit, as in "8GB" (8e9) or "8GiB" (2^33), because people
// read a bare number as bytes or as gigabytes.
type Size int64

// The most common units.
const (
	MB Size = 1e6
	GB Size = 1e9
	TB Size = 1e12
)

// MaxSize is the largest allowed size: 1 PB, far above the memory of one machine.
const MaxSize Size = 1e15

// units are all accepted units, largest first, decimal before binary.
var units = []struct {
	name  string
	bytes int64
}{
	{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
}

// ParseSize reads a number and its unit, such as "8GB", "1.5 TB" or "512mib", ignoring case. The result is exact to 1
// byte and at most [MaxSize].
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

// ParseGB reads the size flags of fly-light: a bare number is in GB, anything else is as in [ParseSize].
func ParseGB(s string) (Size, error) {
	text := strings.TrimSpace(s)
	if text != "" && strings.Trim(text, "+-0123456789.") == "" {
		return multiplyExact(s, text, int64(GB))
	}
	return ParseSize(s)
}

// multiplyExact returns number times unit, exactly.
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

// String returns the shortest exact form; of two equally short forms, the decimal one.
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

// Short returns a form for people: if the exact one is long, rounded to a tenth of a gigabyte or megabyte.
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

// UnmarshalJSON reads the format of MarshalJSON; "0B" is a valid size here.
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

// Set implements a flag value as in fly-light; see [ParseGB].
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
