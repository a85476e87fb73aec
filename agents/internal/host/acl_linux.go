package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// acl is the content of the extended attribute system.posix_acl_access, as in linux/posix_acl_xattr.h.
type acl []byte

// The kinds of entries of an acl, and its layout.
const (
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10

	aclHeader, aclEntry = 4, 8 // bytes
	aclVersion          = 2
	aclWrite            = 2
)

// readACL returns the access ACL of a file, nil when it has none beside its mode.
func readACL(path string) (acl, error) {
	value := make([]byte, 1024)
	for {
		n, err := unix.Lgetxattr(path, "system.posix_acl_access", value)
		switch {
		case errors.Is(err, unix.ERANGE) && len(value) < 1<<16:
			value = make([]byte, 1<<16)
		case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("read the ACL of %s: %w", path, err)
		default:
			return value[:n], nil
		}
	}
}

// untrustedWriter names somebody who may write by the ACL and is none of users, "" when nobody is. Group 0 counts as
// root, like in a mode. An ACL that cannot be understood names somebody.
func (a acl) untrustedWriter(users []uint32, group uint32) string {
	if len(a) < aclHeader || (len(a)-aclHeader)%aclEntry != 0 || binary.LittleEndian.Uint32(a) != aclVersion {
		return "somebody unknown"
	}
	mask, who := uint16(7), ""
	for at := aclHeader; at < len(a); at += aclEntry {
		tag, perm, id := binary.LittleEndian.Uint16(a[at:]), binary.LittleEndian.Uint16(a[at+2:]), binary.LittleEndian.Uint32(a[at+4:])
		switch {
		case tag == aclMask:
			mask = perm
		case perm&aclWrite == 0:
		case tag == aclUser && !slices.Contains(users, id):
			who = fmt.Sprintf("user %d", id)
		case tag == aclGroup && id != 0:
			who = fmt.Sprintf("group %d", id)
		case tag == aclGroupObj && group != 0:
			who = fmt.Sprintf("group %d", group)
		}
	}
	if mask&aclWrite == 0 {
		return ""
	}
	return who
}
