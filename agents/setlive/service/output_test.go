package service

import (
	"slices"
	"testing"
)

func TestLastOutput_OtherVersionBefore_IsLeftOut(t *testing.T) {
	const v1, v2 = startMark + "v1\n", startMark + "v2\n"
	for name, c := range map[string]struct{ log, want []string }{
		"nothing":                       {nil, nil},
		"no mark":                       {[]string{"a\n", "b\n"}, []string{"a", "b"}},
		"one process":                   {[]string{v1, "a\n", "\n", "b\n"}, []string{"a", "b"}},
		"bounded":                       {[]string{v1, "a\n", "b\n", "c\n", "d\n"}, []string{"b", "c", "d"}},
		"silent after another version":  {[]string{v1, "bye\n", v2}, nil},
		"silent twice":                  {[]string{v1, "bye\n", v2, v2}, nil},
		"printed, then started again":   {[]string{v1, "bye\n", v2, "fatal\n", v2}, []string{"fatal"}},
		"printed after another version": {[]string{v1, "bye\n", v2, "fatal\n"}, []string{"fatal"}},
		"mark was rotated away":         {[]string{"fatal\n", v2}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := LastOutput(c.log, 3); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
