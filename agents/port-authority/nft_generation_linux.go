package main

import (
	"encoding/binary"
	"syscall"
)

// The numbers of netfilter's netlink protocol that are needed to ask for the generation.
const (
	netlinkFilter = 12         // NETLINK_NETFILTER
	getGen        = 10<<8 | 16 // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
	newGen        = 10<<8 | 15 // NFT_MSG_NEWGEN
	genID         = 1          // NFTA_GEN_ID
	genHeader     = 4          // struct nfgenmsg
	genTimeout    = 1          // seconds
)

// generation returns the number that the kernel raises with every commit to nftables in this network namespace. While
// it stays the same, nothing of what iptables-nft-save prints has changed but for counters. ok is false when the
// kernel does not tell; nobody then may rely on an older look.
func generation() (id uint32, ok bool) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkFilter)
	if err != nil {
		return 0, false
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: genTimeout}); err != nil {
		return 0, false
	}
	ask := make([]byte, syscall.NLMSG_HDRLEN+genHeader)
	binary.NativeEndian.PutUint32(ask[0:], uint32(len(ask)))
	binary.NativeEndian.PutUint16(ask[4:], getGen)
	binary.NativeEndian.PutUint16(ask[6:], syscall.NLM_F_REQUEST)
	if err := syscall.Sendto(fd, ask, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return 0, false
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil {
		return 0, false
	}
	messages, err := syscall.ParseNetlinkMessage(answer[:n])
	if err != nil || len(messages) == 0 || messages[0].Header.Type != newGen || len(messages[0].Data) < genHeader {
		return 0, false
	}
	return attribute(messages[0].Data[genHeader:])
}

// attribute finds the generation among netlink attributes: length and type of 16 bits each, then the value, padded to
// four bytes.
func attribute(b []byte) (id uint32, ok bool) {
	for len(b) >= 4 {
		length := int(binary.NativeEndian.Uint16(b))
		if length < 4 || length > len(b) {
			return 0, false
		}
		if binary.NativeEndian.Uint16(b[2:]) == genID && length == 8 {
			return binary.BigEndian.Uint32(b[4:]), true
		}
		b = b[min(len(b), (length+3)&^3):]
	}
	return 0, false
}
