package intent

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func names() *rapid.Generator[Name] {
	return rapid.Custom(func(t *rapid.T) Name {
		name, err := ParseName(rapid.StringMatching(`[A-Za-z0-9]([._-]?[A-Za-z0-9]){0,40}`).Draw(t, "name"))
		if err != nil {
			t.Fatal(err)
		}
		return name
	})
}

func ports() *rapid.Generator[Port] {
	return rapid.Custom(func(t *rapid.T) Port {
		first := rapid.IntRange(1, 65535).Draw(t, "first")
		p := Port{First: first, Last: rapid.IntRange(first, 65535).Draw(t, "last"), Protocol: rapid.SampledFrom([]Protocol{TCP, UDP}).Draw(t, "protocol")}
		for range rapid.IntRange(0, 3).Draw(t, "sources") {
			var source netip.Prefix
			if rapid.Bool().Draw(t, "v6") {
				address := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
				source = netip.PrefixFrom(address, rapid.IntRange(0, 128).Draw(t, "bits"))
			} else {
				address := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
				source = netip.PrefixFrom(address, rapid.IntRange(0, 32).Draw(t, "bits"))
			}
			if !source.Addr().Is4In6() {
				p.Source = append(p.Source, source.Masked())
			}
		}
		return p
	})
}

func durations() *rapid.Generator[Duration] {
	return rapid.Map(rapid.Int64Range(0, int64(100*time.Hour)), func(n int64) Duration { return Duration(n) })
}

// checkRoundTrip encodes a value, decodes it and compares.
func checkRoundTrip[T any](t *rapid.T, key string, noun T) {
	data, err := json.Marshal(noun)
	if err != nil {
		t.Fatal(err)
	}
	if found := Check(key, data); found.Err() != nil {
		t.Fatalf("%s is refused: %v", data, found)
	}
	var back T
	if found := decode(key, data, &back); found.Err() != nil || !reflect.DeepEqual(back, noun) {
		t.Fatalf("%s\nread as %+v\nwant    %+v (%v)", data, back, noun, found)
	}
}

func TestAssignmentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkRoundTrip(t, "nodes/web1/slug", Assignment{Cluster: names().Draw(t, "cluster")})
	})
}

func TestConfigRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Versions: map[Name]Version{}, MinNodes: rapid.IntRange(0, 1000).Draw(t, "min_nodes")}
		for i, id := range rapid.SliceOfNDistinct(names(), 0, 5, rapid.ID).Draw(t, "versions") {
			v := Version{Status: Prep, SHA256: rapid.SampledFrom([]string{"", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}).Draw(t, "sha256")}
			if i == 0 && rapid.Bool().Draw(t, "active") {
				v.Status = Active
			}
			c.Versions[id] = v
		}
		if rapid.Bool().Draw(t, "user_config") {
			c.UserConfig, _ = json.Marshal(rapid.MapOf(rapid.String(), rapid.Int()).Draw(t, "any"))
		}
		c.OnConfig = rapid.SampledFrom([]OnConfig{OnConfigUnset, OnConfigRestart, OnConfigNothing, OnConfigHUP, OnConfigUSR2}).Draw(t, "on_config")
		checkRoundTrip(t, "clusters/slug/production/config", c)
	})
}

func TestDeployConfigRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := DeployConfig{
			Basedir:     "/srv/" + string(names().Draw(t, "basedir")),
			RunAs:       rapid.SampledFrom([]string{"", "slug", "www-data"}).Draw(t, "run_as"),
			Require:     rapid.SampledFrom([]Require{RequireUnset, RequireNone, RequireDigest, RequireSignature}).Draw(t, "require"),
			Keep:        rapid.IntRange(0, 1000).Draw(t, "keep"),
			StopTimeout: durations().Draw(t, "stop_timeout"),
		}
		if list := rapid.SliceOfN(ports(), 0, 4).Draw(t, "ports"); len(list) > 0 {
			c.Ports = list
		}
		if rapid.Bool().Draw(t, "health") {
			c.Health = &Health{Type: HealthTCP, Port: rapid.IntRange(1, 65535).Draw(t, "port"), Interval: durations().Draw(t, "interval")}
		}
		checkRoundTrip(t, "clusters/slug/production/deploy_config", c)
	})
}

// Every usable example survives decoding and encoding.
func TestWhatIsReadCanBeWrittenAgain(t *testing.T) {
	for _, path := range append(examples(t, "good"), examples(t, "warn")...) {
		noun, err := newValueFor(keyOf(t, path))
		if err != nil {
			t.Fatal(err)
		}
		again, _ := newValueFor(keyOf(t, path))
		if found := decode("k", read(t, path), noun); found.Err() != nil {
			t.Fatal(found)
		}
		data, err := json.Marshal(noun)
		if err != nil {
			t.Fatal(err)
		}
		if found := decode("k", data, again); found.Err() != nil {
			t.Errorf("%s: written as %s: %v", path, data, found)
		}
		first, _ := json.Marshal(noun)
		second, _ := json.Marshal(again)
		if string(first) != string(second) {
			t.Errorf("%s: %s became %s", path, first, second)
		}
	}
}

func TestPortForms(t *testing.T) {
	for written, want := range map[string]string{
		`80`:                                     "80/tcp []",
		`"8000-8010"`:                            "8000-8010/tcp []",
		`"80-80"`:                                "80/tcp []",
		`{"port":53,"protocol":"UDP"}`:           "53/udp []",
		`{"Port":"1-2","source":["10.1.2.3"]}`:   "1-2/tcp [10.1.2.3/32]",
		`{"port":1,"source":["10.1.2.3/8"]}`:     "1/tcp [10.0.0.0/8]",
		`{"port":1,"source":["::ffff:1.2.3.4"]}`: "1/tcp [1.2.3.4/32]",
	} {
		var c DeployConfig
		if found := decode("k", []byte(`{"basedir":"/srv/x","ports":[`+written+`]}`), &c); found.Err() != nil || len(found) > 0 {
			t.Errorf("%s: %v", written, found)
			continue
		}
		if got := c.Ports[0].String() + " " + sourcesOf(c.Ports[0]); got != want {
			t.Errorf("%s is %s, want %s", written, got, want)
		}
	}
}

func sourcesOf(p Port) string {
	text := "["
	for i, source := range p.Source {
		if i > 0 {
			text += " "
		}
		text += source.String()
	}
	return text + "]"
}
