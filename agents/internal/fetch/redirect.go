package fetch

import (
	"errors"
	"net/http"
)

const maxRedirects = 5

var (
	errManyRedirects = errors.New("more than 5 redirects")
	errRedirectLoop  = errors.New("redirects lead in a circle")
	errDowngrade     = errors.New("redirect from https to http")
	errLocation      = errors.New("redirect to something that is no address")
	errScheme        = errors.New("redirect to something that is not http")
)

// redirect decides whether to follow: net/http calls it with the request to come and those already made.
func redirect(next *http.Request, via []*http.Request) error {
	for _, before := range via {
		if before.URL.String() == next.URL.String() {
			return errRedirectLoop
		}
		if before.URL.Scheme == "https" && next.URL.Scheme == "http" {
			return errDowngrade
		}
	}
	switch {
	case len(via) > maxRedirects:
		return errManyRedirects
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return errScheme
	}
	return nil
}

func isRedirect(err error) bool {
	for _, e := range []error{errManyRedirects, errRedirectLoop, errDowngrade, errScheme, errLocation} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
