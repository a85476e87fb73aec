package store

import (
	"context"
	"errors"
	"net/http"

	"github.com/hashicorp/consul/api"
)

// Self asks the store who it takes this client for: the accessor of its token, which is no secret, and what the token is
// called. Both are empty where the store knows nobody: with access rules off, or without a token of this client's own; then
// it is not asked.
func (s *Store) Self(ctx context.Context) (accessor, name string, err error) {
	if c := s.settings(); c.Token == "" && c.TokenFile == "" {
		return "", "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	token, _, err := s.client.Load().ACL().TokenReadSelf(new(api.QueryOptions).WithContext(ctx))
	var status api.StatusError
	switch {
	case errors.As(err, &status) && status.Code >= http.StatusBadRequest && status.Code < http.StatusInternalServerError:
		return "", "", nil // "ACL support disabled", "token does not exist", and a store that has no such thing
	case err != nil:
		return "", "", s.explain("ask who this token is", err)
	case token.AccessorID == anonymous:
		return "", "", nil
	}
	return token.AccessorID, token.Description, nil
}

// Credentials identifies the token and the certificates that are in use since the last reload, without telling them.
func (s *Store) Credentials() string { return *s.files.Load() }

// anonymous is the accessor that Consul gives to everybody without a token.
const anonymous = "00000000-0000-0000-0000-000000000002"
