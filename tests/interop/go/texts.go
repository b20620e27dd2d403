package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// open verifies a checkpoint with the log's key and reads its size and root.
func open(signed string, verifier note.Verifier) (tlog.Tree, error) {
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	origin, rest, _ := strings.Cut(n.Text, "\n")
	if origin != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("origin %q, want %q", origin, verifier.Name())
	}
	// ParseTree wants the checksum database's own first line; what follows it is the same in every log.
	return tlog.ParseTree([]byte("go.sum database tree\n" + rest))
}

// cutReceipt takes a tlog-proof apart: index, path, signed checkpoint.
func cutReceipt(receipt string) (index int64, path tlog.RecordProof, signed string, err error) {
	head, signed, found := strings.Cut(receipt, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return 0, nil, "", errors.New("not a tlog-proof")
	}
	decimal, found := strings.CutPrefix(lines[1], "index ")
	if index, err = strconv.ParseInt(decimal, 10, 64); err != nil || !found {
		return 0, nil, "", errors.New("no index line")
	}
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return 0, nil, "", err
		}
		path = append(path, hash)
	}
	return index, path, signed, nil
}

func hashes(raw [][]byte) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(raw))
	for i, bytes := range raw {
		if len(bytes) != tlog.HashSize {
			return nil, fmt.Errorf("hash %d has %d bytes", i, len(bytes))
		}
		copy(out[i][:], bytes)
	}
	return out, nil
}
