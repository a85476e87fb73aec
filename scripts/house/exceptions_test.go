package house

// exceptions are the deliberate violations of a rule: "rule place" and the reason.
var exceptions = map[string]string{
	"names store/embedded/http.go Handler":           "it returns an http.Handler, and that is what everybody calls it",
	"names agents/internal/agent/log.go Info":        "a verb: the level at which a line is logged",
	"names agents/converge/converge.go Info":         "a verb: the level at which a line is logged",
	"names agents/guest/guest.go Info":               "the level at which a line is logged",
	"names agents/seed-placer/engine/output.go Info": "the level at which a line is logged",
	"modules scripts/consul/go.mod":                  "the real Consul for tests: it must never share versions with what we link",
	"folders agents/dashboard":                       "an onlooker: it desires and does nothing, so there is no plan and nothing to apply",
}
