package store

import (
	"context"
	"errors"
	"net/http"

	"github.com/hashicorp/consul/api"
)

// Self returns the accessor of this client's token, which is not a secret, and the token's description. Both are empty
// with ACLs off or without a token; without a token it sends no request.
func (s *Store) Self(ctx context.Context) (accessor, name string, err error) {
	if c := s.clientConfig(); c.Token == "" && c.TokenFile == "" {
		return "", "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	token, _, err := s.client.Load().ACL().TokenReadSelf(new(api.QueryOptions).WithContext(ctx))
	var status api.StatusError
	switch {
	case errors.As(err, &status) && status.Code >= http.StatusBadRequest && status.Code < http.StatusInternalServerError:
		return "", "", nil // "ACL support disabled", "token does not exist", or a store without ACLs
	case err != nil:
		return "", "", s.classify("ask who this token is", err)
	case token.AccessorID == anonymousAccessor:
		return "", "", nil
	}
	return token.AccessorID, token.Description, nil
}

// Credentials is a digest of the token and certificate files at the last reload.
func (s *Store) Credentials() string { return *s.files.Load() }

// anonymousAccessor is Consul's accessor for clients without a token.
const anonymousAccessor = "00000000-0000-0000-0000-000000000002"
