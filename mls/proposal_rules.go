package mls

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// commitPlan is a checked proposal list: what it changes, ordered as it is
// applied (RFC 9420, Section 12.3).
type commitPlan struct {
	updates      []leafUpdate
	removes      []LeafIndex // by Remove and SelfRemove
	adds         []*LeafNode
	keyPackages  []*KeyPackage // of adds
	psks         []PSKID
	externalInit []byte
	extensions   Extensions // of the next GroupContext
	newContext   bool       // by GroupContextExtensions
	reInit       *ReInit
	pathRequired bool
}

// planner checks a list against Section 12.2 and the extensions draft while it
// builds the plan.
type planner struct {
	g         *Group
	committer Sender
	now       time.Time
	plan      commitPlan
	touched   map[LeafIndex]ProposalType // Update, Remove, SelfRemove
	appData   []AppDataUpdate
	used      []ProposalType // beyond the defaults
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalidProposals, fmt.Errorf(format, args...))
}

// planCommit checks a proposal list. appData holds the results of
// AppDataUpdates, or is nil if an update replaces the whole value.
func (g *Group) planCommit(list []ProposalFrom, committer Sender, appData map[ComponentID][]byte, now time.Time) (*commitPlan, error) {
	p := &planner{g: g, committer: committer, now: now, touched: map[LeafIndex]ProposalType{}}
	p.plan.extensions = g.context.Extensions
	p.plan.pathRequired = len(list) == 0
	for i, from := range list {
		if err := p.add(from); err != nil {
			return nil, fmt.Errorf("proposal %d: %w", i, err)
		}
	}
	if err := p.checkList(list); err != nil {
		return nil, err
	}
	if err := p.applyAppData(appData); err != nil {
		return nil, err
	}
	return &p.plan, p.checkSupport()
}

func (p *planner) add(from ProposalFrom) error {
	t := from.Proposal.Type()
	if p.committer.Type == SenderNewMemberCommit {
		if err := p.g.config.externalAllows(from); err != nil {
			return err
		}
	}
	if !t.isDefault() && !slices.Contains(p.used, t) {
		p.used = append(p.used, t)
	}
	switch proposal := from.Proposal.(type) {
	case Add:
		return p.addMember(proposal)
	case Update:
		return p.update(proposal, from)
	case Remove:
		p.plan.pathRequired = true
		return p.remove(proposal.Removed, t)
	case PreSharedKey:
		return p.psk(proposal.ID)
	case ReInit:
		if proposal.Version < version10 {
			return invalid("ReInit to version %d", proposal.Version)
		}
		p.plan.reInit = proposal.clone()
	case ExternalInit:
		return p.external(proposal)
	case GroupContextExtensions:
		return p.context(proposal)
	case AppDataUpdate:
		p.appData = append(p.appData, proposal)
	case AppEphemeral:
	case SelfRemove:
		p.plan.pathRequired = true
		if !from.ByReference || from.Sender.Type != SenderMember {
			return invalid("SelfRemove must be a member's and committed by reference")
		}
		return p.remove(from.Sender.Leaf, t)
	case OtherProposal:
		kind := p.g.config.kindOf(t)
		if kind == nil {
			return fmt.Errorf("%w: 0x%04x", ErrUnsupportedProposal, uint16(t))
		}
		p.plan.pathRequired = p.plan.pathRequired || kind.PathRequired
	default:
		return fmt.Errorf("%w: 0x%04x", ErrUnsupportedProposal, uint16(t))
	}
	return nil
}

// externalAllows is the closed list of what an external commit may hold. A
// newcomer cannot judge proposals sent inside the group, so only the draft's
// SelfRemove comes by reference.
func (x *Config) externalAllows(from ProposalFrom) error {
	ok := !from.ByReference
	switch from.Proposal.Type() {
	case ProposalExternalInit, ProposalRemove, ProposalPSK, ProposalAppDataUpdate, ProposalAppEphemeral:
	case ProposalSelfRemove:
		ok = from.ByReference
	default:
		kind := x.kindOf(from.Proposal.Type())
		ok = ok && kind != nil && kind.External
	}
	if !ok {
		return invalid("type 0x%04x in an external commit", uint16(from.Proposal.Type()))
	}
	return nil
}

func (p *planner) addMember(add Add) error {
	k := add.KeyPackage
	if k.Suite != p.g.suite.id {
		return invalid("Add with suite 0x%04x", uint16(k.Suite))
	}
	if err := k.check(p.g.suite, p.now); err != nil {
		return fmt.Errorf("%w: %w: %w", ErrInvalidProposals, ErrInvalidKeyPackage, err)
	}
	p.plan.adds = append(p.plan.adds, k.Leaf)
	p.plan.keyPackages = append(p.plan.keyPackages, k)
	return nil
}

func (p *planner) update(u Update, from ProposalFrom) error {
	p.plan.pathRequired = true
	index, leaf := from.Sender.Leaf, u.Leaf
	if from.Sender.Type != SenderMember || from.Sender == p.committer {
		return invalid("Update of the committer or of no member")
	}
	if err := p.touch(index, ProposalUpdate); err != nil {
		return err
	}
	old, ok := p.g.tree.leaf(index)
	if !ok {
		return invalid("Update of blank leaf %d", index)
	}
	if leaf.Source != LeafSourceUpdate {
		return invalid("Update with leaf node source %d", leaf.Source)
	}
	if bytes.Equal(old.EncryptionKey, leaf.EncryptionKey) {
		return invalid("Update keeps the encryption key of leaf %d", index)
	}
	if err := leaf.verifySignature(p.g.suite, p.g.context.GroupID, index); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidProposals, err)
	}
	p.plan.updates = append(p.plan.updates, leafUpdate{index: index, leaf: leaf})
	return nil
}

func (p *planner) remove(index LeafIndex, t ProposalType) error {
	if p.committer == (Sender{Type: SenderMember, Leaf: index}) {
		return invalid("committer removes itself")
	}
	if _, ok := p.g.tree.leaf(index); !ok {
		return invalid("removal of blank leaf %d", index)
	}
	p.plan.removes = append(p.plan.removes, index)
	return p.touch(index, t)
}

func (p *planner) touch(index LeafIndex, t ProposalType) error {
	if _, twice := p.touched[index]; twice {
		return invalid("two proposals change leaf %d", index)
	}
	p.touched[index] = t
	return nil
}

func (p *planner) psk(id PSKID) error {
	if len(id.Nonce) != p.g.suite.nh {
		return invalid("PSK nonce of %d bytes", len(id.Nonce))
	}
	if id.continues() && id.Usage != p.g.founding {
		return invalid("resumption PSK with usage %d", id.Usage)
	}
	if slices.ContainsFunc(p.plan.psks, id.equal) {
		return invalid("the same PSK twice")
	}
	if len(p.plan.psks) == maxPSKs {
		return invalid("more than %d PSKs", maxPSKs)
	}
	p.plan.psks = append(p.plan.psks, id)
	return nil
}

func (p *planner) external(e ExternalInit) error {
	p.plan.pathRequired = true
	if p.committer.Type != SenderNewMemberCommit {
		return invalid("ExternalInit in a member's commit")
	}
	if p.plan.externalInit != nil {
		return invalid("two ExternalInit")
	}
	p.plan.externalInit = append([]byte{}, e.KEMOutput...)
	return nil
}

func (p *planner) context(c GroupContextExtensions) error {
	p.plan.pathRequired = true
	if p.plan.newContext {
		return invalid("two GroupContextExtensions")
	}
	p.plan.newContext = true
	p.plan.extensions = c.Extensions.Clone()
	return nil
}

// checkList checks what depends on the whole list.
func (p *planner) checkList(list []ProposalFrom) error {
	if p.plan.reInit != nil && len(list) > 1 {
		return invalid("ReInit beside other proposals")
	}
	if p.committer.Type == SenderNewMemberCommit {
		if p.plan.externalInit == nil {
			return invalid("external commit without ExternalInit")
		}
		removes := 0
		for _, t := range p.touched {
			if t == ProposalRemove {
				removes++
			}
		}
		if removes > 1 {
			return invalid("external commit removes %d members", removes)
		}
	}
	if p.plan.newContext {
		return p.checkDictionaryKept()
	}
	return nil
}

// checkDictionaryKept: where AppDataUpdate is required, it is the only way to
// change component data.
func (p *planner) checkDictionaryKept() error {
	before, after := GroupContext{Extensions: p.g.context.Extensions}, GroupContext{Extensions: p.plan.extensions}
	if !slices.Contains(before.Required().Proposals, ProposalAppDataUpdate) &&
		!slices.Contains(after.Required().Proposals, ProposalAppDataUpdate) {
		return nil
	}
	was, had := before.Extensions.Find(ExtAppDataDictionary)
	is, has := after.Extensions.Find(ExtAppDataDictionary)
	if had != has || !bytes.Equal(was, is) {
		return invalid("GroupContextExtensions changes the app_data_dictionary")
	}
	return nil
}

// applyAppData brings the results of all AppDataUpdates into the next
// GroupContext. The named components change and no other.
func (p *planner) applyAppData(results map[ComponentID][]byte) error {
	dictionary := p.plan.extensions.appData()
	seen := map[ComponentID]bool{} // true: removed
	for _, u := range p.appData {
		removed, again := seen[u.Component]
		if again && (removed || u.Remove || results == nil) {
			return invalid("component 0x%04x is changed twice", uint16(u.Component))
		}
		seen[u.Component] = u.Remove
		data := u.Data
		if results != nil {
			if data = results[u.Component]; (data == nil) != u.Remove {
				return invalid("no fitting result for component 0x%04x", uint16(u.Component))
			}
		}
		if !u.Remove {
			dictionary = dictionary.With(u.Component, data)
			continue
		}
		if _, ok := dictionary.find(u.Component); !ok {
			return invalid("removal of absent component 0x%04x", uint16(u.Component))
		}
		dictionary = dictionary.Without(u.Component)
	}
	for id := range results {
		if _, named := seen[id]; !named {
			return invalid("a result for component 0x%04x, which no proposal names", uint16(id))
		}
	}
	if len(seen) == 0 {
		return nil
	}
	p.plan.extensions = p.plan.extensions.withAppData(dictionary, dictionaryMovesToEnd)
	if err := p.plan.extensions.check(); err != nil {
		return invalid("resulting extensions: %w", err)
	}
	return nil
}

// checkSupport: everyone who will process the commit must support its
// proposal types. Members that it adds or removes need not.
func (p *planner) checkSupport() error {
	if len(p.used) == 0 {
		return nil
	}
	needed := RequiredCapabilities{Proposals: p.used}
	if p.g.tree.allSupport(needed) == nil {
		return nil
	}
	for i, leaf := range p.g.tree.leaves() {
		if t := p.touched[i]; t == ProposalRemove || t == ProposalSelfRemove {
			continue
		}
		if err := leaf.Capabilities.meets(needed); err != nil {
			return invalid("leaf %d: %w", i, err)
		}
	}
	return nil
}
