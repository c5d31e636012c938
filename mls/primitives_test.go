package mls

import (
	"encoding/binary"
	"testing"

	"github.com/marmotgo/marmot/mls/internal/wire"
)

type basicsVector struct {
	Suite   Suite `json:"cipher_suite"`
	RefHash struct {
		Label      string
		Out, Value hexBytes
	} `json:"ref_hash"`
	Expand struct {
		Label                string
		Secret, Context, Out hexBytes
		Length               int
	} `json:"expand_with_label"`
	Derive struct {
		Label       string
		Secret, Out hexBytes
	} `json:"derive_secret"`
	Tree struct {
		Label       string
		Secret, Out hexBytes
		Generation  uint32
		Length      int
	} `json:"derive_tree_secret"`
	Sign struct {
		Label                         string
		Priv, Pub, Content, Signature hexBytes
	} `json:"sign_with_label"`
	Encrypt struct {
		Label                         string
		Priv, Pub, Context, Plaintext hexBytes
		KEMOutput                     hexBytes `json:"kem_output"`
		Ciphertext                    hexBytes
	} `json:"encrypt_with_label"`
}

func TestVectorsCryptoBasics(t *testing.T) {
	list := readVectors[basicsVector](t, "crypto-basics")
	forSuites(t, list, func(v *basicsVector) Suite { return v.Suite }, 7, func(t *testing.T, s *cipherSuite, v *basicsVector) {
		same(t, "ref hash", s.refHash(v.RefHash.Label, v.RefHash.Value), v.RefHash.Out)
		e := v.Expand
		same(t, "expand", s.expandWithLabel(e.Secret, e.Label, e.Context, e.Length), e.Out)
		same(t, "derive", s.deriveSecret(v.Derive.Secret, v.Derive.Label), v.Derive.Out)
		d := v.Tree
		same(t, "tree", s.expandWithLabel(d.Secret, d.Label, binary.BigEndian.AppendUint32(nil, d.Generation), d.Length), d.Out)

		if !s.verifyWithLabel(v.Sign.Pub, v.Sign.Label, v.Sign.Content, v.Sign.Signature) {
			t.Fatal("signature refused")
		}
		signer := signerOf(t, s, v.Sign.Priv)
		same(t, "public key", must(s.signaturePublicKey(signer))(t), v.Sign.Pub)
		sig := must(s.signWithLabel(signer, v.Sign.Label, v.Sign.Content))(t)
		if !s.verifyWithLabel(v.Sign.Pub, v.Sign.Label, v.Sign.Content, sig) {
			t.Fatal("own signature refused")
		}
		if s.verifyWithLabel(v.Sign.Pub, v.Sign.Label+"x", v.Sign.Content, sig) {
			t.Fatal("signature under another label accepted")
		}

		c := v.Encrypt
		same(t, "plaintext", must(s.decryptWithLabel(c.Priv, c.Label, c.Context, c.KEMOutput, c.Ciphertext))(t), c.Plaintext)
		kem, ct, err := s.encryptWithLabel(c.Pub, c.Label, c.Context, c.Plaintext)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "own plaintext", must(s.decryptWithLabel(c.Priv, c.Label, c.Context, kem, ct))(t), c.Plaintext)
		if _, err := s.decryptWithLabel(c.Priv, c.Label+"x", c.Context, kem, ct); err == nil {
			t.Fatal("ciphertext under another label opened")
		}
		same(t, "public key of private", must(s.publicOf(c.Priv))(t), c.Pub)
	})
}

func TestVectorsKeySchedule(t *testing.T) {
	type epoch struct {
		CommitSecret            hexBytes `json:"commit_secret"`
		ConfirmationKey         hexBytes `json:"confirmation_key"`
		ConfirmedTranscriptHash hexBytes `json:"confirmed_transcript_hash"`
		EncryptionSecret        hexBytes `json:"encryption_secret"`
		EpochAuthenticator      hexBytes `json:"epoch_authenticator"`
		Exporter                struct {
			Context, Secret hexBytes
			Label           string
			Length          int
		}
		ExporterSecret   hexBytes `json:"exporter_secret"`
		ExternalPub      hexBytes `json:"external_pub"`
		ExternalSecret   hexBytes `json:"external_secret"`
		GroupContext     hexBytes `json:"group_context"`
		InitSecret       hexBytes `json:"init_secret"`
		JoinerSecret     hexBytes `json:"joiner_secret"`
		MembershipKey    hexBytes `json:"membership_key"`
		PSKSecret        hexBytes `json:"psk_secret"`
		ResumptionPSK    hexBytes `json:"resumption_psk"`
		SenderDataSecret hexBytes `json:"sender_data_secret"`
		TreeHash         hexBytes `json:"tree_hash"`
		WelcomeSecret    hexBytes `json:"welcome_secret"`
	}
	type vector struct {
		Suite   Suite    `json:"cipher_suite"`
		GroupID hexBytes `json:"group_id"`
		Initial hexBytes `json:"initial_init_secret"`
		Epochs  []epoch
	}
	epochs := 0
	forSuites(t, readVectors[vector](t, "key-schedule"), func(v *vector) Suite { return v.Suite }, 7, func(t *testing.T, s *cipherSuite, v *vector) {
		init := []byte(v.Initial)
		for i, e := range v.Epochs {
			c := GroupContext{Version: version10, Suite: v.Suite, GroupID: v.GroupID, Epoch: uint64(i),
				TreeHash: e.TreeHash, ConfirmedTranscriptHash: e.ConfirmedTranscriptHash}
			context := c.append(nil)
			same(t, "context", context, e.GroupContext)
			joiner := s.joinerSecret(init, e.CommitSecret, context)
			same(t, "joiner", joiner, e.JoinerSecret)
			member := s.memberSecret(joiner, secret(e.PSKSecret))
			same(t, "welcome", s.welcomeSecret(member), e.WelcomeSecret)
			es, roots := s.deriveEpoch(s.epochSecret(member, context))
			same(t, "init", es.get(epochInit), e.InitSecret)
			same(t, "sender data", es.get(epochSenderData), e.SenderDataSecret)
			same(t, "encryption", roots.encryption, e.EncryptionSecret)
			same(t, "exporter", es.get(epochExporter), e.ExporterSecret)
			same(t, "authenticator", es.get(epochAuthenticator), e.EpochAuthenticator)
			same(t, "external", es.get(epochExternal), e.ExternalSecret)
			same(t, "confirmation", es.get(epochConfirmation), e.ConfirmationKey)
			same(t, "membership", es.get(epochMembership), e.MembershipKey)
			same(t, "resumption", es.get(epochResumption), e.ResumptionPSK)
			_, pub, err := s.deriveKeyPair(es.get(epochExternal))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "external pub", pub, e.ExternalPub)
			x := e.Exporter
			same(t, "exported", s.export(es.get(epochExporter), x.Label, x.Context, x.Length), x.Secret)
			init = es.get(epochInit)
			epochs++
		}
	})
	if epochs < 25 {
		t.Fatalf("only %d epochs", epochs)
	}
}

func TestVectorsPSKSecret(t *testing.T) {
	type vector struct {
		Suite Suite `json:"cipher_suite"`
		PSKs  []struct {
			ID    hexBytes `json:"psk_id"`
			PSK   hexBytes
			Nonce hexBytes `json:"psk_nonce"`
		}
		Secret hexBytes `json:"psk_secret"`
	}
	forSuites(t, readVectors[vector](t, "psk_secret"), func(v *vector) Suite { return v.Suite }, 77, func(t *testing.T, s *cipherSuite, v *vector) {
		var ids []PSKID
		var psks []secret
		for _, p := range v.PSKs {
			ids = append(ids, PSKID{Type: PSKExternal, ID: p.ID, Nonce: p.Nonce})
			psks = append(psks, secret(p.PSK))
		}
		same(t, "psk secret", s.pskSecret(ids, psks), v.Secret)
	})
}

func TestVectorsTranscriptHashes(t *testing.T) {
	type vector struct {
		Suite     Suite    `json:"cipher_suite"`
		Key       hexBytes `json:"confirmation_key"`
		Content   hexBytes `json:"authenticated_content"`
		Before    hexBytes `json:"interim_transcript_hash_before"`
		Confirmed hexBytes `json:"confirmed_transcript_hash_after"`
		Interim   hexBytes `json:"interim_transcript_hash_after"`
	}
	forSuites(t, readVectors[vector](t, "transcript-hashes"), func(v *vector) Suite { return v.Suite }, 7, func(t *testing.T, s *cipherSuite, v *vector) {
		raw := append([]byte{0, 1}, v.Content...) // an AuthenticatedContent has no version
		r := wire.NewReader(raw)
		r.Bytes(4)
		c := &authenticatedContent{}
		noConfig.readContent(c, raw, r)
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
		confirmed := s.confirmedHash(v.Before, c)
		same(t, "confirmed", confirmed, v.Confirmed)
		same(t, "tag", s.confirmationTag(v.Key, confirmed), c.confirmationTag)
		same(t, "interim", s.interimHash(confirmed, c.confirmationTag), v.Interim)
	})
}

func TestVectorsSecretTree(t *testing.T) {
	type leaf struct {
		Generation       uint32
		ApplicationKey   hexBytes `json:"application_key"`
		ApplicationNonce hexBytes `json:"application_nonce"`
		HandshakeKey     hexBytes `json:"handshake_key"`
		HandshakeNonce   hexBytes `json:"handshake_nonce"`
	}
	type vector struct {
		Suite      Suite    `json:"cipher_suite"`
		Encryption hexBytes `json:"encryption_secret"`
		Sender     struct {
			Secret     hexBytes `json:"sender_data_secret"`
			Ciphertext hexBytes
			Key, Nonce hexBytes
		} `json:"sender_data"`
		Leaves [][]leaf
	}
	lim := Limits{}.withDefaults()
	forSuites(t, readVectors[vector](t, "secret-tree"), func(v *vector) Suite { return v.Suite }, 21, func(t *testing.T, s *cipherSuite, v *vector) {
		k := s.senderKey(v.Sender.Secret, v.Sender.Ciphertext)
		same(t, "sender key", k.key[:s.nk], v.Sender.Key)
		same(t, "sender nonce", k.nonce[:s.nn], v.Sender.Nonce)
		width := uint32(1)
		for width < uint32(len(v.Leaves)) {
			width *= 2
		}
		tree := newSecretTree(width, secret(v.Encryption))
		for i, generations := range v.Leaves {
			l, step, err := tree.sender(s, LeafIndex(i))
			if err != nil {
				t.Fatal(err)
			}
			tree.keep(LeafIndex(i), l, step)
			for _, g := range generations {
				a := must(l.application.key(s, g.Generation, lim))(t)
				h := must(l.handshake.key(s, g.Generation, lim))(t)
				same(t, "application key", a.key[:s.nk], g.ApplicationKey)
				same(t, "application nonce", a.nonce[:s.nn], g.ApplicationNonce)
				same(t, "handshake key", h.key[:s.nk], g.HandshakeKey)
				same(t, "handshake nonce", h.nonce[:s.nn], g.HandshakeNonce)
				l.application.consume(s, g.Generation, lim)
			}
		}
		if !tree.frontier.valid() || len(v.Leaves) == int(width) && len(tree.frontier.nodes) != 0 {
			t.Fatal("secrets left in a used-up tree")
		}
	})
}
