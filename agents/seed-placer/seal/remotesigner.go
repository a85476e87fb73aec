package seal

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// A request is a header and the message to sign. A reply is the length of the signature, 0 for a refusal, and the
// signature.
type requestHeader struct {
	Cert fingerprint
	Hash uint8
	Size uint16
}

// maxMessage exceeds what TLS signs for a handshake: 64 spaces, a context string, and a digest of at most 64 bytes.
const maxMessage = 256

// ServeSigner signs handshakes for a worker until the worker ends. The key stays in this process. Code that escapes
// the engine can have TLS 1.3 handshakes signed while its worker lives, and the worker is trusted with the node's
// address for that long anyway. It can neither copy the key nor sign anything else, because the context string is
// part of the message and is checked.
func ServeSigner(r *Reloader, requests io.Reader, replies io.Writer) error {
	for {
		var header requestHeader
		if err := binary.Read(requests, binary.BigEndian, &header); err != nil {
			return err
		}
		if header.Size > maxMessage {
			return fmt.Errorf("sign for a worker: a message of %d bytes", header.Size)
		}
		message := make([]byte, header.Size)
		if _, err := io.ReadFull(requests, message); err != nil {
			return err
		}
		signature := r.signHandshake(header.Cert, crypto.Hash(header.Hash), message)
		if _, err := replies.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(signature))), signature...)); err != nil {
			return err
		}
	}
}

// isHandshake reports whether a message is a CertificateVerify content of RFC 8446, section 4.4.3.
func isHandshake(message []byte) bool {
	rest, ok := strings.CutPrefix(string(message), strings.Repeat(" ", 64))
	for _, side := range []string{"server", "client"} {
		if digest, is := strings.CutPrefix(rest, "TLS 1.3, "+side+" CertificateVerify\x00"); ok && is && (len(digest) == 32 || len(digest) == 48) {
			return true
		}
	}
	return false
}

// signHandshake signs with the key of the current certificate, or of the previous one for handshakes in progress. It
// returns nil for anything else.
func (r *Reloader) signHandshake(of fingerprint, hash crypto.Hash, message []byte) []byte {
	known := hash == 0 || hash == crypto.SHA256 || hash == crypto.SHA384 || hash == crypto.SHA512
	if key := r.keyFor(of); key != nil && known && isHandshake(message) {
		signature, err := signWith(key, hash, message)
		if err == nil && len(signature) < 1<<16 {
			return signature
		}
	}
	return nil
}

func signWith(key crypto.Signer, hash crypto.Hash, message []byte) ([]byte, error) {
	var opts crypto.SignerOpts = hash
	switch key.Public().(type) {
	case *rsa.PublicKey: // TLS 1.3 allows only PSS
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	case ed25519.PublicKey, *ecdsa.PublicKey:
	default:
		return nil, fmt.Errorf("key of unknown kind %T", key.Public())
	}
	return crypto.SignMessage(key, rand.Reader, message, opts)
}

// RemoteSigner signs with a key that the agent holds.
type RemoteSigner struct {
	mu       sync.Mutex
	requests io.Writer
	replies  io.Reader
}

// NewRemoteSigner writes requests to one pipe and reads replies from the other.
func NewRemoteSigner(requests io.Writer, replies io.Reader) *RemoteSigner {
	return &RemoteSigner{requests: requests, replies: replies}
}

// For returns the signer of one certificate.
func (s *RemoteSigner) For(p PublicIdentity) (crypto.Signer, error) {
	leaf, err := x509.ParseCertificate(p.Chain[0])
	if err != nil {
		return nil, fmt.Errorf("read --tls-cert %s: %w", p.CertFile, err)
	}
	return remoteKey{s, p.fingerprint(), leaf.PublicKey}, nil
}

type remoteKey struct {
	signer      *RemoteSigner
	fingerprint fingerprint
	public      crypto.PublicKey
}

// Public implements crypto.Signer.
func (k remoteKey) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer. It always fails: the agent cannot see what a digest was made of.
func (k remoteKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("sign: the key of the node signs whole messages only")
}

// SignMessage implements crypto.MessageSigner.
func (k remoteKey) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if len(message) > maxMessage {
		return nil, fmt.Errorf("sign: a message of %d bytes", len(message))
	}
	request, err := binary.Append(nil, binary.BigEndian, requestHeader{k.fingerprint, uint8(opts.HashFunc()), uint16(len(message))})
	if err != nil {
		return nil, err
	}
	k.signer.mu.Lock()
	defer k.signer.mu.Unlock()
	if _, err := k.signer.requests.Write(append(request, message...)); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	var size uint16
	if err := binary.Read(k.signer.replies, binary.BigEndian, &size); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	signature := make([]byte, size)
	if _, err := io.ReadFull(k.signer.replies, signature); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if size == 0 {
		return nil, errors.New("sign: the agent refuses: the certificate was renewed meanwhile")
	}
	return signature, nil
}
