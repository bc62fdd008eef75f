package hf

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"pgc/checkpoint/peft"
	"pgc/ir"
	"pgc/models"
)

// Kept is an adapter that is kept beside the model, to be chosen for every request.
type Kept struct {
	Name string
	Dir  string // its folder, or its name in the Hugging Face cache
}

// adapterName is the form of a kept adapter's name.
var adapterName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// keep adds the weights of adapters that are kept beside the model.
func (c *Checkpoint) keep(list []Kept, wide bool) error {
	if len(list) > 0 && c.changes != nil {
		return fmt.Errorf("the adapter %s is merged into %s: expected no others beside it, or a name for each (--adapter NAME=DIR)", c.adapterDir, c.Dir)
	}
	c.made = map[string]Tensor{}
	for i, k := range list {
		if !adapterName.MatchString(k.Name) {
			return fmt.Errorf("the adapter's name %.80q is not possible: expected up to 64 letters, digits, dots, dashes and underscores", k.Name)
		}
		if slices.ContainsFunc(list[:i], func(o Kept) bool { return o.Name == k.Name }) {
			return fmt.Errorf("two adapters are named %s, expected a name for each", k.Name)
		}
		dir, err := adapterFolder(k.Dir)
		if err != nil {
			return err
		}
		a, err := c.adapter(dir)
		if err != nil {
			return err
		}
		all, err := a.Beside(c.host())
		if err != nil {
			return err
		}
		c.Notes = append(c.Notes, a.Notes...)
		adapter := models.Adapter{Name: k.Name, Changes: map[string]models.Change{}}
		for _, key := range slices.Sorted(maps.Keys(all)) {
			adapter.Changes[key] = all[key].Change
			if all[key].At == "" {
				c.put(k.Name, dir, key, all[key], wide)
			}
		}
		c.Kept, c.KeptTrained = append(c.Kept, adapter), append(c.KeptTrained, trainedAdapter(c.Model, dir))
	}
	return nil
}

// put adds the tensors that an adapter has for one weight.
func (c *Checkpoint) put(adapter, dir, key string, b *peft.Beside, wide bool) {
	add := func(part string, t Tensor) {
		t.File = dir
		c.made[models.AdapterWeight(adapter, key, part)] = t
	}
	base, table := c.base(key), key == c.Model.Embedding
	d, shape := base.DType, base.Shape
	if wide {
		d = ir.F32
	}
	if b.Own {
		add(models.Whole, Tensor{DType: b.Type, Shape: shape, Read: b.Whole(base, b.Type).Read})
	}
	switch {
	case b.Rank > 0 && table:
		add(models.FactorA, Tensor{DType: b.A.DType, Shape: b.A.Shape, Read: b.A.Read})
		add(models.FactorB, Tensor{DType: b.B.DType, Shape: b.B.Shape, Data: b.B.Data})
	case b.Rank > 0:
		add(models.FactorA, Tensor{DType: b.A.DType, Shape: []int{b.Rank, b.A.Elements() / b.Rank}, Data: b.A.Data})
		add(models.FactorB, Tensor{DType: b.B.DType, Shape: []int{shape[0], b.Rank}, Data: b.B.Data})
	}
	if b.Tokens != nil {
		add(models.Tokens, Tensor{DType: b.Some.DType, Shape: b.Some.Shape, Data: b.Some.Data})
	}
	if b.Rows {
		side := shape[:1]
		if table {
			side = shape[1:]
		}
		add(models.Scales, Tensor{DType: ir.F32, Shape: side, Read: b.Scales(base, d)})
	}
}
