package models

import "strings"

// Role is what a weight is for. It decides how the weight may be stored.
type Role int

// The roles.
const (
	Other           Role = iota
	VisionEmbedding      // patch convolution and position table of the image encoder, which are never quantized
	VisionTower
	Projector     // from the image encoder to the decoder
	Decoder       // a layer of the decoder
	Embedding     // the table of token embeddings
	Head          // from hidden states to logits
	RetrievalHead // from hidden states to the vectors of an embedding
)

var roleNames = [...]string{"", "vision tower", "vision tower", "projector", "decoder", "embedding", "head", "retrieval head"}

// String is the part of the model that weights of the role belong to, as info prints it.
func (r Role) String() string { return roleNames[r] }

// RoleOf gives a role to weights whose names begin with Prefix.
type RoleOf struct {
	Prefix string
	Role   Role
}

// Role returns what the weight of that name is for.
func (m *Model) Role(key string) Role {
	for _, r := range m.Roles {
		if strings.HasPrefix(key, r.Prefix) {
			return r.Role
		}
	}
	return Other
}
