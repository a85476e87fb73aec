// Package fetch brings one file from a file, http or https address to this host, however badly the server behaves.
//
// A local file is opened where it lies, and below Request.Repo without following a symbolic link. Anything else streams
// into a partial file that survives restarts: a later attempt asks for the rest of it, on the condition that the server
// still has the same thing (Range with If-Range), and starts over when it does not. The content is hashed on the way.
// Nothing fetched is to be believed before its digest has been compared, which is the caller's part: a server may send
// a page of apologies with status 200, and two halves of different files when it lies about its ETag.
//
// Errors are *[Error] with a [Reason]. No error, and nothing written to disk, holds the user, password or query of an
// address, since these carry credentials.
package fetch
