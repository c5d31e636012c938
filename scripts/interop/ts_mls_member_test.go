//go:build interop

package interop

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"testing"

	"github.com/marmotgo/marmot/mls"
)

// theirs is a client of ts-mls.
type theirs struct {
	t       *testing.T
	peer    *peer
	id      string
	suite   mls.Suite
	message []byte // the key package
}

func newTheirs(t *testing.T, p *peer, id string, suite mls.Suite) *theirs {
	t.Helper()
	m := &theirs{t: t, peer: p, id: id, suite: suite}
	m.makeKeyPackage(args{"capabilities": args{"extensions": []int{6, 10, 0xf2d1}, "proposals": []int{8, 10}},
		"leafExtensions": [][]any{{0xf2d1, hex.EncodeToString([]byte(id))}}, "extensions": [][]any{{0x000a, ""}}})
	return m
}

func (m *theirs) makeKeyPackage(a args) {
	m.t.Helper()
	a["suite"] = m.suite
	var err error
	if m.message, err = m.bytes("keyPackage", a); err != nil {
		m.t.Fatal(err)
	}
}

// do sends a request about this client.
func (m *theirs) do(op string, a args, result any) error {
	m.t.Helper()
	request := args{"client": m.id}
	maps.Copy(request, a)
	if e := m.peer.try(op, request, result); e != "" {
		return errors.New("ts-mls: " + e)
	}
	return nil
}

// bytes is do for a result in hex.
func (m *theirs) bytes(op string, a args) ([]byte, error) {
	m.t.Helper()
	var result string
	if err := m.do(op, a, &result); err != nil {
		return nil, err
	}
	return hex.DecodeString(result)
}

func theirPSKs() args { return args{hex.EncodeToString(pskID): hex.EncodeToString(pskSecret)} }

func (m *theirs) name() string       { return m.id }
func (m *theirs) keyPackage() []byte { return m.message }

func (m *theirs) create(ext mls.Extensions) error {
	return m.do("create", args{"group": hex.EncodeToString(groupID), "extensions": plainExtensions(ext)}, nil)
}

func (m *theirs) join(welcome, tree []byte) error {
	return m.do("join", args{"welcome": hex.EncodeToString(welcome), "tree": hex.EncodeToString(tree), "psks": theirPSKs()}, nil)
}

func (m *theirs) propose(p mls.Proposal, private bool) ([]byte, error) {
	if p == nil {
		return nil, errors.New("ts-mls makes no Update")
	}
	return m.bytes("propose", args{"proposal": encodeProposal(m.t, p), "isPublic": !private})
}

func (m *theirs) commit(c change) (commit, welcome []byte, err error) {
	proposals := []string{}
	for _, p := range c.proposals {
		proposals = append(proposals, encodeProposal(m.t, p))
	}
	a := args{"proposals": proposals, "isPublic": !c.private, "noTree": c.noTree, "psks": theirPSKs()}
	var result struct{ Commit, Welcome string }
	if err := m.do("commit", a, &result); err != nil {
		return nil, nil, err
	}
	commit, err = hex.DecodeString(result.Commit)
	if err != nil {
		return nil, nil, err
	}
	welcome, err = hex.DecodeString(result.Welcome)
	return commit, welcome, err
}

func (m *theirs) process(handshake []byte) error {
	return m.do("process", args{"message": hex.EncodeToString(handshake), "psks": theirPSKs()}, nil)
}

func (m *theirs) removed(commit []byte) error {
	if err := m.process(commit); err != nil {
		return err
	}
	if m.view().Active {
		return errors.New("ts-mls: not removed")
	}
	return nil
}

func (m *theirs) send(text, aad string) []byte {
	m.t.Helper()
	message, err := m.bytes("send", args{"text": hex.EncodeToString([]byte(text)), "aad": hex.EncodeToString([]byte(aad))})
	if err != nil {
		m.t.Fatal(err)
	}
	return message
}

func (m *theirs) read(message []byte) (string, error) {
	text, err := m.bytes("process", args{"message": hex.EncodeToString(message)})
	return string(text), err
}

func (m *theirs) tree() []byte {
	m.t.Helper()
	tree, err := m.bytes("tree", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return tree
}

func (m *theirs) info() []byte {
	m.t.Helper()
	info, err := m.bytes("groupInfo", args{"asRFC": true})
	if err != nil {
		m.t.Fatal(err)
	}
	return info
}

func (m *theirs) joinExternal(info, tree []byte) ([]byte, error) {
	return m.bytes("joinExternal", args{"asRFC": true, "info": hex.EncodeToString(info), "tree": hex.EncodeToString(tree)})
}

func (m *theirs) view() (v view) {
	m.t.Helper()
	if err := m.do("state", exportArgs, &v); err != nil {
		m.t.Fatal(err)
	}
	return v
}

// encodeProposal encodes the proposals that both sides can make (RFC 9420,
// Section 12.1); ours are not encoded by themselves.
func encodeProposal(t *testing.T, p mls.Proposal) string {
	t.Helper()
	b := binary.BigEndian.AppendUint16(nil, uint16(p.Type()))
	switch p := p.(type) {
	case mls.Add:
		b = append(b, p.KeyPackage.Bytes()...)
	case mls.Remove:
		b = binary.BigEndian.AppendUint32(b, uint32(p.Removed))
	case mls.PreSharedKey:
		b = appendOpaque(append(b, byte(p.ID.Type)), p.ID.ID)
		b = appendOpaque(b, p.ID.Nonce)
	case mls.GroupContextExtensions:
		var list []byte
		for _, e := range p.Extensions {
			list = appendOpaque(binary.BigEndian.AppendUint16(list, uint16(e.Type)), e.Data)
		}
		b = appendOpaque(b, list)
	default:
		t.Fatalf("proposal %T", p)
	}
	return hex.EncodeToString(b)
}

// appendOpaque appends data with its length (RFC 9420, Section 2.1.2).
func appendOpaque(b, data []byte) []byte {
	if n := len(data); n < 64 {
		b = append(b, byte(n))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(n)|0x4000)
	}
	return append(b, data...)
}
