package inventory

import (
	"net"
	"path"
	"strconv"
	"strings"
)

// secrets are the columns whose text no message may repeat.
var secrets = []string{"http_auth_username", "http_auth_password", "token"}

// checkIgnored validates the cells that are not imported. Damage causes only a warning, and the text is not repeated:
// in shifted columns it may be a password.
func (s *sheet) checkIgnored(r *row) {
	for column, fault := range map[string]func(string) string{
		"scheme":                          schemeFault,
		"wait_time":                       secondsFault,
		"tls_config_address":              addressFault,
		"tls_config_ca_path":              pathFault,
		"tls_config_ca_file":              pathFault,
		"tls_config_cert_file":            pathFault,
		"tls_config_key_file":             pathFault,
		"tls_config_insecure_skip_verify": boolFault,
		"datacenter":                      datacenterFault,
	} {
		if c, given := r.cells[column]; given {
			if said := fault(c.text); said != "" {
				s.warnf(c, "cell %q %s", column, said)
			}
		}
	}
	for _, column := range secrets {
		c, given := r.cells[column]
		if given && strings.ContainsAny(c.text, " \t\"'<>,;") {
			s.warnf(c, "cell %q does not look like one: it holds a space, a quote or a separator; it is not used", column)
		}
	}
}

func schemeFault(text string) string {
	if text == "" || text == "http" || text == "https" {
		return ""
	}
	return "is neither http nor https; it is not used"
}

func secondsFault(text string) string {
	if _, err := strconv.ParseUint(text, 10, 31); err != nil && text != "" {
		return "is not a whole number of seconds; it is not used"
	}
	return ""
}

func addressFault(text string) string {
	if _, _, err := net.SplitHostPort(text); text != "" && (err != nil || strings.ContainsAny(text, "<>'\"@/,; ")) {
		return "is not host:port; it is not used"
	}
	return ""
}

func pathFault(text string) string {
	if text != "" && (!path.IsAbs(text) || path.Clean(text) != text) {
		return "is not an absolute path; it is not used"
	}
	return ""
}

func boolFault(text string) string {
	if text != "" && text != "true" && text != "false" {
		return "is neither true nor false; it is not used"
	}
	return ""
}

func datacenterFault(text string) string {
	if strings.ContainsAny(text, "\"'<>,;") {
		return "holds a quote or a separator"
	}
	return ""
}
