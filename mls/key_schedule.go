package mls

import "fmt"

// epochSecrets are the secrets of one epoch that are not consumed by use
// (RFC 9420, Section 8). An erased one is nil.
type epochSecrets struct {
	redactedValue
	initSecret    secret // with what follows: what UseAdvance erases
	membership    secret
	external      secret
	confirmation  secret
	senderData    secret // UseMessages
	exporter      secret // with what follows: UseExports
	authenticator secret
	resumption    secret
}

// all lists the secrets in the order in which they are saved.
func (e *epochSecrets) all() [8]*secret {
	return [8]*secret{&e.initSecret, &e.membership, &e.external, &e.confirmation, &e.senderData, &e.exporter,
		&e.authenticator, &e.resumption}
}

// treeRoots are the secrets of an epoch that only start a tree.
type treeRoots struct {
	redactedValue
	encryption secret // of the secret tree
	components secret // of the exporter tree
}

// erase overwrites all secrets of an epoch that did not come about.
func (e *epochSecrets) erase() {
	for _, s := range e.all() {
		s.erase()
		*s = nil
	}
}

func (r treeRoots) erase() {
	r.encryption.erase()
	r.components.erase()
}

// joinerSecret combines the previous epoch's init_secret with the commit.
func (s *cipherSuite) joinerSecret(initSecret, commitSecret, context []byte) secret {
	mixed := s.extract(initSecret, commitSecret)
	defer clear(mixed)
	return s.expandWithLabel(mixed, "joiner", context, s.nh)
}

// memberSecret is the value below the joiner secret in Figure 22: what the
// Welcome's key and, bound to the GroupContext, the epoch derive from.
func (s *cipherSuite) memberSecret(joiner, psk secret) secret { return s.extract(joiner, psk) }

func (s *cipherSuite) welcomeSecret(member secret) secret { return s.deriveSecret(member, "welcome") }

func (s *cipherSuite) epochSecret(member secret, context []byte) secret {
	return s.expandWithLabel(member, "epoch", context, s.nh)
}

// epochLabels are the labels of the secrets in the order of all.
var epochLabels = []string{"init", "membership", "external", "confirm", "sender data", "exporter", "authentication", "resumption"}

// deriveEpoch derives everything of an epoch and erases epochSecret. What
// stays for the whole epoch is one object; each root goes when it is used.
func (s *cipherSuite) deriveEpoch(epochSecret secret) (*epochSecrets, treeRoots) {
	defer epochSecret.erase()
	e := &epochSecrets{}
	block := make(secret, len(epochLabels)*s.nh)
	for i, dst := range e.all() {
		*dst = block[i*s.nh : (i+1)*s.nh : (i+1)*s.nh]
		s.expandInto(*dst, epochSecret, epochLabels[i], nil)
	}
	return e, treeRoots{
		encryption: s.deriveSecret(epochSecret, "encryption"),
		components: s.deriveSecret(epochSecret, "application_export"),
	}
}

// export is MLS-Exporter (Section 8.5).
func (s *cipherSuite) export(exporter secret, label string, context []byte, length int) []byte {
	derived := s.deriveSecret(exporter, label)
	defer clear(derived)
	return s.expandWithLabel(derived, "exported", s.hash(context), length)
}

const externalInitLabel = "MLS 1.0 external init secret"

// newExternalInit makes the init_secret of an external commit and the KEM
// output that carries it (Section 8.3).
func (s *cipherSuite) newExternalInit(externalPub []byte) (kemOutput []byte, initSecret secret, err error) {
	kemOutput, initSecret, err = s.hpke.SendExport(externalPub, externalInitLabel, s.nh)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: external_pub", ErrMalformed)
	}
	return kemOutput, initSecret, nil
}

// openExternalInit returns the init_secret that an external commit starts
// from (Section 8.3).
func (s *cipherSuite) openExternalInit(external secret, kemOutput []byte) (secret, error) {
	priv, _, err := s.deriveKeyPair(external)
	if err != nil {
		return nil, err
	}
	defer clear(priv)
	init, err := s.hpke.ReceiveExport(priv, kemOutput, externalInitLabel, s.nh)
	if err != nil {
		return nil, fmt.Errorf("%w: external init", ErrMalformed)
	}
	return init, nil
}
