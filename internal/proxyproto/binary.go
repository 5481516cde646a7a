package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// This file parses version 2 (§2.2): a signature, version and command, address family, length
// of the rest, addresses, and TLV fields.

const (
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	fixed2     = 16 // bytes before the addresses
)

// Version 2 with its commands.
const (
	commandLocal = 0x20
	commandProxy = 0x21
)

// The lengths of both addresses with their ports, in bytes.
const (
	size4    = 2*4 + 2*2
	size6    = 2*16 + 2*2
	sizeUnix = 2 * 108
)

func parse2(p []byte) (h Header, n int, r Reason) {
	if len(p) > 12 && p[12] != commandLocal && p[12] != commandProxy {
		return h, 0, ReasonMalformed
	}
	if len(p) < fixed2 {
		return h, 0, ReasonNone
	}
	size := fixed2 + int(binary.BigEndian.Uint16(p[14:]))
	switch {
	case size > MaxLen:
		return h, 0, ReasonTooLong
	case len(p) < size:
		return h, 0, ReasonNone
	case p[12] == commandLocal:
		return h, size, ReasonNone // the rest is ignored
	}
	addresses := p[fixed2:size]
	h, used, ok := addresses2(p[13], addresses)
	if !ok {
		return Header{}, 0, ReasonMalformed
	}
	if r = fields2(p[:size], fixed2+used); r != ReasonNone {
		return Header{}, 0, r
	}
	return h, size, ReasonNone
}

// addresses2 parses the addresses of a family and returns their length. The transport protocol
// is ignored.
func addresses2(family byte, p []byte) (h Header, used int, ok bool) {
	switch family {
	case 0x00: // not specified
		return h, 0, true
	case 0x11, 0x12:
		if len(p) < size4 {
			return h, 0, false
		}
		h.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p)), binary.BigEndian.Uint16(p[8:]))
		return h, size4, true
	case 0x21, 0x22:
		if len(p) < size6 {
			return h, 0, false
		}
		h.Client = netip.AddrPortFrom(netip.AddrFrom16([16]byte(p)), binary.BigEndian.Uint16(p[32:]))
		return h, size6, true
	case 0x31, 0x32:
		h.Unix = true
		return h, sizeUnix, len(p) >= sizeUnix
	}
	return h, 0, false
}

const (
	fieldChecksum = 0x03 // PP2_TYPE_CRC32C
	checksumSize  = 4
)

// fields2 checks the TLV fields of a complete header, which begin at offset at (§2.2.6). Only
// the checksum is used.
func fields2(header []byte, at int) Reason {
	for at < len(header) {
		if len(header)-at < 3 {
			return ReasonMalformed
		}
		kind, size := header[at], int(binary.BigEndian.Uint16(header[at+1:]))
		at += 3
		if size > len(header)-at {
			return ReasonMalformed
		}
		if kind == fieldChecksum {
			if size != checksumSize {
				return ReasonMalformed
			}
			if checksum(header, at) != binary.BigEndian.Uint32(header[at:]) {
				return ReasonChecksum
			}
		}
		at += size
	}
	return ReasonNone
}

// checksum computes the CRC-32C of a header, whose checksum field, at offset at, counts as
// zeros.
func checksum(header []byte, at int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var zeros [checksumSize]byte
	sum := crc32.Update(0, table, header[:at])
	sum = crc32.Update(sum, table, zeros[:])
	return crc32.Update(sum, table, header[at+checksumSize:])
}
