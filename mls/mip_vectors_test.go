package mls

import (
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"github.com/marmotgo/marmot/internal/vectors"
)

// TestRecordedWelcomes joins the groups of two Welcomes that other implementations
// made, and reads what was said there: OpenMLS 0.8, which MDK is built on, and
// ts-mls 2.0.0-rc.10, which marmot-ts is.
func TestRecordedWelcomes(t *testing.T) {
	for _, name := range []string{"mdk", "tsmls"} {
		var v struct {
			Welcome hexBytes
			Joiner  struct {
				KeyPackage     hexBytes `json:"key_package"`
				InitPriv       hexBytes `json:"init_priv"`
				EncryptionPriv hexBytes `json:"encryption_priv"`
				SignaturePriv  hexBytes `json:"signature_priv"`
			}
			Committer struct {
				SignerPub hexBytes `json:"signer_pub"`
			}
			Exporter struct {
				Label           string
				Context, Secret hexBytes
				Length          int
			}
			Messages []struct {
				Plaintext hexBytes
				Private   hexBytes `json:"private_message"`
			} `json:"app_messages_alice_to_bob"`
		}
		if err := json.Unmarshal(vectors.Read(t, "mip/amethyst-"+name+"-welcome.json"), &v); err != nil {
			t.Fatal(err)
		}
		kp, _ := must(DecodeMessage(v.Joiner.KeyPackage))(t).KeyPackage()
		w, _ := must(DecodeMessage(v.Welcome))(t).Welcome()
		keys := &KeyPackageKeys{initKey: secret(v.Joiner.InitPriv), leafKey: secret(v.Joiner.EncryptionPriv)}
		joined, err := Join(w, kp, keys, JoinConfig{Signer: ed25519.NewKeyFromSeed(v.Joiner.SignaturePriv)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		g := joined.Group
		same(t, name+": exporter", must(g.Export(v.Exporter.Label, v.Exporter.Context, v.Exporter.Length))(t), v.Exporter.Secret)
		for i, m := range v.Messages {
			got, err := g.Unprotect(must(DecodeMessage(m.Private))(t))
			if err != nil {
				t.Fatalf("%s: message %d: %v", name, i, err)
			}
			same(t, name+": message", got.Plaintext, m.Plaintext)
			same(t, name+": sender", got.Leaf.SignatureKey, v.Committer.SignerPub)
		}
	}
}

// TestMIPExporterVectors derives the values that v1 exports, and the join secret of
// the draft for several devices, which nobody deployed.
func TestMIPExporterVectors(t *testing.T) {
	suite := must(testSuites.suiteOf(X25519_AES128GCM_SHA256_Ed25519))(t)
	var v struct {
		Exporter struct {
			Secret hexBytes `json:"exporter_secret"`
			Values []struct {
				Label, Context string
				Length         int
				Out            hexBytes
			}
		}
	}
	if err := json.Unmarshal(vectors.Read(t, "mip/group-event.json"), &v); err != nil {
		t.Fatal(err)
	}
	for _, e := range v.Exporter.Values {
		same(t, e.Label+" "+e.Context, suite.export(secret(v.Exporter.Secret), e.Label, []byte(e.Context), e.Length), e.Out)
	}
	var draft struct {
		Context hexBytes `json:"group_context"`
		Secret  hexBytes `json:"exporter_secret"`
		ID      hexBytes `json:"join_psk_id"`
		PSK     hexBytes `json:"join_psk"`
	}
	if err := json.Unmarshal(vectors.Read(t, "mip/mip06.json"), &draft); err != nil {
		t.Fatal(err)
	}
	const label = "marmot-mip06-join-psk-v1"
	same(t, "join PSK id", append([]byte(label), suite.hash(draft.Context)...), draft.ID)
	same(t, "join PSK", suite.export(secret(draft.Secret), label, draft.ID, 32), draft.PSK)
}
