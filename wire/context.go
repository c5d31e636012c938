package wire

import (
	"fmt"
	"slices"

	"github.com/marmotgo/marmot/mls"
)

// Settings are the decoded components of a group's GroupContext: what all its
// members agree on in one epoch. Fields of absent components are zero; the
// pointers tell absence from emptiness.
type Settings struct {
	Required     []mls.ComponentID // the group's app_components list
	Capabilities mls.RequiredCapabilities
	Profile      *Profile
	Admins       Admins
	Routing      *Routing
	Retention    Retention
	AgentStream  *AgentStream
	Lifecycle    *Lifecycle
	Dictionary   mls.AppDataDictionary // all entries, also those unknown here
	Data         *GroupData            // of a v1 group; nil in v2
}

// knownRequired are the components a group may require of us.
var knownRequired = []mls.ComponentID{
	ComponentProfile, ComponentBlossomImage, ComponentAdmins, ComponentRouting, ComponentRetention,
	ComponentAgentStream, ComponentAvatarURL, ComponentIdentityProof, ComponentEncryptedMedia, ComponentLifecycle,
}

// ErrUnsupportedFeature means that a group requires something this
// implementation does not know (errors.md, unsupported_required_feature).
var ErrUnsupportedFeature = fmt.Errorf("wire: the group requires an unknown feature")

// DecodeSettings reads and checks the GroupContext extensions of a v2 group
// (app-components/README.md; group-setup.md, "Lifetime invariants"). It does
// not look at members: that the admins have leaves is the caller's check.
func DecodeSettings(ext mls.Extensions) (*Settings, error) {
	data, ok := ext.Find(mls.ExtRequiredCapabilities)
	if !ok {
		return nil, malformed("group has no required_capabilities")
	}
	caps, err := mls.DecodeRequiredCapabilities(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if !slices.Contains(caps.Extensions, mls.ExtAppDataDictionary) || !slices.Contains(caps.Proposals, mls.ProposalAppDataUpdate) {
		return nil, malformed("group does not require app_data_dictionary and app_data_update")
	}
	data, ok = ext.Find(mls.ExtAppDataDictionary)
	if !ok {
		return nil, malformed("group has no app_data_dictionary")
	}
	dict, err := mls.DecodeAppDataDictionary(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	s := &Settings{Capabilities: caps, Dictionary: dict}
	for _, entry := range dict {
		if err := s.set(entry.ID, entry.Data); err != nil {
			return nil, err
		}
	}
	return s, s.checkRequired()
}

// set decodes one entry. Unknown ones are kept as they are.
func (s *Settings) set(id mls.ComponentID, data []byte) error {
	var err error
	switch id {
	case ComponentAppComponents:
		s.Required, err = DecodeComponents(data)
	case ComponentProfile:
		s.Profile, err = pointer(DecodeProfile(data))
	case ComponentAdmins:
		s.Admins, err = DecodeAdmins(data)
	case ComponentRouting:
		s.Routing, err = pointer(DecodeRouting(data))
	case ComponentRetention:
		s.Retention, err = DecodeRetention(data)
	case ComponentAgentStream:
		s.AgentStream, err = pointer(DecodeAgentStream(data))
	case ComponentLifecycle:
		s.Lifecycle, err = pointer(DecodeLifecycle(data))
	case ComponentSafeAAD, ComponentIdentityProof, ComponentLegacyMedia:
		err = malformed("component 0x%04x in the group's dictionary", uint16(id))
	default:
		err = CheckComponent(id, data)
	}
	return err
}

func pointer[T any](v T, err error) (*T, error) { return &v, err }

// CheckComponent validates the bytes of a group component. Unknown components
// pass: their bytes are kept, not interpreted.
func CheckComponent(id mls.ComponentID, data []byte) error {
	switch id {
	case ComponentBlossomImage:
		return checkBlossomImage(data)
	case ComponentAvatarURL:
		return checkAvatarURL(data)
	case ComponentEncryptedMedia:
		_, err := DecodeEncryptedMedia(data)
		return err
	}
	return nil
}

func (s *Settings) checkRequired() error {
	for _, id := range []mls.ComponentID{ComponentAdmins, ComponentIdentityProof} {
		if !slices.Contains(s.Required, id) {
			return malformed("group does not require component 0x%04x", uint16(id))
		}
	}
	for _, id := range s.Required {
		if !slices.Contains(knownRequired, id) {
			return fmt.Errorf("%w: component 0x%04x", ErrUnsupportedFeature, uint16(id))
		}
		if _, ok := s.Dictionary.Get(id); !ok && id != ComponentIdentityProof {
			return malformed("required component 0x%04x is absent", uint16(id))
		}
	}
	if len(s.Admins) == 0 {
		return malformed("group has no admin policy")
	}
	return nil
}

// RequiredMarkers returns the role markers every member's leaf must list.
func (s *Settings) RequiredMarkers() []mls.ExtensionType {
	if s.AgentStream == nil {
		return nil
	}
	return s.AgentStream.RequiredMarkers()
}

// NewGroupExtensions builds the GroupContext extensions of a new group, in the
// order that every implementation keeps: required_capabilities, then the
// dictionary last (mls-extensions-draft.md, 5.4).
func NewGroupExtensions(p Profile, admins Admins, routing Routing, retention Retention) (mls.Extensions, error) {
	entries := map[mls.ComponentID][]byte{
		ComponentProfile:        p.Append(nil),
		ComponentAdmins:         admins.Append(nil),
		ComponentRouting:        routing.Append(nil),
		ComponentAgentStream:    DefaultAgentStream.Append(nil),
		ComponentEncryptedMedia: DefaultEncryptedMedia().Append(nil),
		ComponentLifecycle:      Active.Append(nil),
	}
	if retention != 0 {
		entries[ComponentRetention] = retention.Append(nil)
	}
	required := []mls.ComponentID{ComponentIdentityProof}
	for id := range entries {
		required = append(required, id)
	}
	slices.Sort(required)
	entries[ComponentAppComponents] = AppendComponents(nil, required)
	caps := mls.RequiredCapabilities{
		Extensions: []mls.ExtensionType{mls.ExtAppDataDictionary},
		Proposals:  []mls.ProposalType{mls.ProposalAppDataUpdate, mls.ProposalSelfRemove},
	}
	ext := mls.Extensions{
		{Type: mls.ExtRequiredCapabilities, Data: caps.Append(nil)},
		{Type: mls.ExtAppDataDictionary, Data: dictionary(entries).Append(nil)},
	}
	_, err := DecodeSettings(ext)
	return ext, err
}

func dictionary(entries map[mls.ComponentID][]byte) mls.AppDataDictionary {
	d := make(mls.AppDataDictionary, 0, len(entries))
	for id, data := range entries {
		d = append(d, mls.ComponentData{ID: id, Data: data})
	}
	slices.SortFunc(d, func(a, b mls.ComponentData) int { return int(a.ID) - int(b.ID) })
	return d
}
