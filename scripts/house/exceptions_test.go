package house

// exceptions are the places where a rule is broken on purpose: "rule place" and the reason.
var exceptions = map[string]string{
	"names store/embedded/http.go Handler":    "it returns an http.Handler, and that is what everybody calls it",
	"names agents/internal/agent/log.go Info": "a verb: the level at which a line is logged",
	"names agents/converge/converge.go Info":  "a verb: the level at which a line is logged",
}
