package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height     = 8
	tileWidth  = 1 << height
	maxFetched = tileWidth * (2 + 65535)
)

// tiles fetches a log's tiles over HTTP. tlog prints the checksum database's paths, which name the height.
type tiles struct{ url string }

func (t tiles) Height() int { return height }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for i, tile := range wanted {
		path, found := strings.CutPrefix(tile.Path(), "tile/8/")
		if !found {
			return nil, fmt.Errorf("%s is of another height", tile.Path())
		}
		bytes, err := fetch(t.url + "/tile/" + path)
		if err != nil {
			return nil, err
		}
		data[i] = bytes
	}
	return data, nil
}

// SaveTiles is told which tiles are authentic. Nothing is kept.
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func fetch(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxFetched))
}

// readTiles reads leaf hashes, proofs and entries of a log from its tiles, everything authenticated by tlog's own reader.
func readTiles(c Case, verifier note.Verifier, verdict *Verdict) error {
	tree, err := open(c.Note, verifier)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, tiles{c.URL})
	for _, index := range c.Indexes {
		leaves, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return err
		}
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaves[0]); err != nil {
			return err
		}
		verdict.Leaves = append(verdict.Leaves, leaves[0][:])
	}
	for _, n := range c.Bundles {
		if err := readBundle(c.URL, n, tree, reader); err != nil {
			return err
		}
	}
	if c.Old == "" {
		return nil
	}
	old, err := open(c.Old, verifier)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, old.N, reader)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
}

// readBundle compares every entry of bundle n with the authentic leaf hash.
func readBundle(url string, n int64, tree tlog.Tree, reader tlog.HashReader) error {
	width := min(tree.N-n*tileWidth, tileWidth)
	// tlog calls entry bundles tiles of level -1 and prints "data" for their level.
	path := tlog.Tile{H: height, L: -1, N: n, W: int(width)}.Path()
	rest, err := fetch(url + strings.Replace("/"+path, "/tile/8/data/", "/tile/entries/", 1))
	if err != nil {
		return err
	}
	for i := range width {
		if len(rest) < 2 {
			return errors.New("the bundle ends early")
		}
		length := 2 + int(binary.BigEndian.Uint16(rest))
		if len(rest) < length {
			return errors.New("the bundle ends within an entry")
		}
		leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, n*tileWidth+i)})
		if err != nil {
			return err
		}
		if tlog.RecordHash(rest[2:length]) != leaf[0] {
			return fmt.Errorf("entry %d of bundle %d is another one", i, n)
		}
		rest = rest[length:]
	}
	if len(rest) != 0 {
		return errors.New("the bundle goes on after its last entry")
	}
	return nil
}
