package main

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	woffHeader = 44 // bytes before the table directory (WOFF 1.0, section 3)
	woffEntry  = 20 // bytes for each table in it (section 4)
	sfntHeader = 12
	sfntEntry  = 16
)

// woff packs a TrueType font into WOFF 1.0: the tables in the order of their
// tags, each compressed with zlib where that makes it smaller, each starting
// at a multiple of four. There is no metadata and no private block.
func woff(ttf []byte) ([]byte, error) {
	be := binary.BigEndian
	if len(ttf) < sfntHeader {
		return nil, errors.New("font shorter than its header")
	}
	tables := int(be.Uint16(ttf[4:]))
	if len(ttf) < sfntHeader+sfntEntry*tables {
		return nil, errors.New("font shorter than its table directory")
	}
	var directory, data []byte
	sfntSize := sfntHeader + sfntEntry*tables
	for i := range tables {
		entry := ttf[sfntHeader+sfntEntry*i:][:sfntEntry]
		offset, length := int(be.Uint32(entry[8:])), int(be.Uint32(entry[12:]))
		if offset+length > len(ttf) {
			return nil, fmt.Errorf("table %q reaches past the end of the font", entry[:4])
		}
		packed, err := pack(ttf[offset : offset+length])
		if err != nil {
			return nil, err
		}
		directory = append(directory, entry[:4]...)
		directory = be.AppendUint32(directory, uint32(woffHeader+woffEntry*tables+len(data)))
		directory = be.AppendUint32(directory, uint32(len(packed)))
		directory = be.AppendUint32(directory, uint32(length))
		directory = append(directory, entry[4:8]...) // checksum of the original
		data = pad(append(data, packed...))
		sfntSize += (length + 3) &^ 3
	}
	head := append([]byte("wOFF"), ttf[:4]...) // signature, flavour of the font inside
	head = be.AppendUint32(head, uint32(woffHeader+len(directory)+len(data)))
	head = be.AppendUint16(head, uint16(tables))
	head = be.AppendUint16(head, 0) // reserved
	head = be.AppendUint32(head, uint32(sfntSize))
	head = be.AppendUint16(head, 1) // version of this file, major and minor
	head = be.AppendUint16(head, 0)
	head = append(head, make([]byte, woffHeader-len(head))...)
	return append(append(head, directory...), data...), nil
}

// pack returns data compressed, or data itself when that is no longer.
func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b.Len() >= len(data) {
		return data, nil
	}
	return b.Bytes(), nil
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
