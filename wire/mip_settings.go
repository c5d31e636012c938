package wire

import (
	"fmt"

	"github.com/marmotgo/marmot/mls"
)

// IsMIPGroup tells by its GroupContext extensions whether a group is one of
// protocol v1, the numbered MIPs.
func IsMIPGroup(ext mls.Extensions) bool {
	_, v1 := ext.Find(ExtGroupData)
	_, v2 := ext.Find(mls.ExtAppDataDictionary)
	return v1 && !v2
}

// DecodeMIPSettings reads the GroupContext extensions of a v1 group. The
// Dictionary holds what v2 would keep there, for comparing; Data has the rest.
// required_capabilities may be missing.
func DecodeMIPSettings(ext mls.Extensions) (*Settings, error) {
	data, ok := ext.Find(ExtGroupData)
	if !ok {
		return nil, malformed("group has no marmot_group_data")
	}
	d, err := DecodeGroupData(data)
	if err != nil {
		return nil, err
	}
	s := &Settings{
		Profile: &Profile{d.Name, d.Description}, Admins: d.Admins,
		Routing: &Routing{GroupID: d.GroupID, Relays: d.Relays}, Retention: d.Retention, Data: d,
	}
	if data, ok := ext.Find(mls.ExtRequiredCapabilities); ok {
		if s.Capabilities, err = mls.DecodeRequiredCapabilities(data); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
		}
	}
	image := appendOpaque(appendOpaque(appendOpaque(appendOpaque(nil, d.Image.Hash), d.Image.Key), d.Image.Nonce), d.Image.UploadKey)
	s.Dictionary = dictionary(map[mls.ComponentID][]byte{
		ComponentProfile: s.Profile.Append(nil), ComponentAdmins: s.Admins.Append(nil), ComponentRouting: s.Routing.Append(nil),
		ComponentRetention: s.Retention.Append(nil), ComponentBlossomImage: image,
	})
	return s, nil
}

// MIPExtensions returns the GroupContext extensions of a v1 group with this
// data. SelfRemove is required only if all members know it: others could not
// read one.
func MIPExtensions(d *GroupData, selfRemove bool) mls.Extensions {
	required := mls.RequiredCapabilities{Extensions: []mls.ExtensionType{ExtGroupData}}
	if selfRemove {
		required.Proposals = []mls.ProposalType{mls.ProposalSelfRemove}
	}
	return mls.Extensions{
		{Type: ExtGroupData, Data: d.Append(nil)},
		{Type: mls.ExtRequiredCapabilities, Data: required.Append(nil)},
	}
}

// AmendMIP returns the GroupContext extensions with other group data. All the
// rest stays as it is.
func AmendMIP(ext mls.Extensions, d *GroupData) mls.Extensions {
	out := ext.Clone()
	for i := range out {
		if out[i].Type == ExtGroupData {
			out[i].Data = d.Append(nil)
		}
	}
	return out
}

// extLastResort marks a key package of v1 that may be used more than once.
const extLastResort mls.ExtensionType = 0x000A

// MIPLeafCapabilities returns what our leaves in v1 groups advertise.
func MIPLeafCapabilities() mls.Capabilities {
	return mls.Capabilities{
		Versions:    []uint16{1},
		Suites:      []mls.Suite{mls.X25519_AES128GCM_SHA256_Ed25519},
		Extensions:  []mls.ExtensionType{extLastResort, ExtGroupData},
		Proposals:   []mls.ProposalType{mls.ProposalSelfRemove},
		Credentials: []mls.CredentialType{mls.CredentialBasic},
	}
}
