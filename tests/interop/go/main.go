// Command judge reads cases (a JSON array) from standard input and writes a verdict on each: whether Go's own sumdb/note and
// sumdb/tlog accept it. It holds no rules of its own beyond cutting texts into the parts that those packages take.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Case is something to accept or refuse; which members it has depends on its kind.
type Case struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	VKey    string   `json:"vkey"`
	Note    string   `json:"note"`
	Old     string   `json:"old"`
	Proof   [][]byte `json:"proof"`
	Receipt string   `json:"receipt"`
	Entry   []byte   `json:"entry"`
	URL     string   `json:"url"`
	Indexes []int64  `json:"indexes"`
	Bundles []int64  `json:"bundles"`
}

// A Verdict says whether a case was accepted, and what was read from it.
type Verdict struct {
	Name     string   `json:"name"`
	Accepted bool     `json:"accepted"`
	Why      string   `json:"why,omitempty"`
	Size     int64    `json:"size,omitempty"`
	Root     []byte   `json:"root,omitempty"`
	Leaves   [][]byte `json:"leaves,omitempty"`
}

func main() {
	var cases []Case
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	verdicts := make([]Verdict, len(cases))
	for i, c := range cases {
		verdicts[i].Name = c.Name
		if err := judge(c, &verdicts[i]); err != nil {
			verdicts[i].Why = err.Error()
			continue
		}
		verdicts[i].Accepted = true
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge(c Case, verdict *Verdict) error {
	verifier, err := note.NewVerifier(c.VKey)
	if err != nil {
		return err
	}
	switch c.Kind {
	case "checkpoint":
		tree, err := open(c.Note, verifier)
		verdict.Size, verdict.Root = tree.N, tree.Hash[:]
		return err
	case "inclusion":
		index, path, signed, err := cutReceipt(c.Receipt)
		if err != nil {
			return err
		}
		tree, err := open(signed, verifier)
		if err != nil {
			return err
		}
		return tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(c.Entry))
	case "consistency":
		old, err := open(c.Old, verifier)
		if err != nil {
			return err
		}
		tree, err := open(c.Note, verifier)
		if err != nil {
			return err
		}
		proof, err := hashes(c.Proof)
		if err != nil {
			return err
		}
		return tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
	case "tiles":
		return readTiles(c, verifier, verdict)
	}
	return fmt.Errorf("unknown kind of case %q", c.Kind)
}
