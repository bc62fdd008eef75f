package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sort"

	"pgc/runtime/output"
)

// Section is a section to be written: Write produces its bytes, as many as it likes.
type Section struct {
	Name    string // at most 16 bytes, unique in the file
	Write   func(w io.Writer) error
	Deflate bool // SectionCode and SectionPTX: these, and programs, take fewer bytes and longer to load
}

// Bytes is a section of bytes that lie in memory.
func Bytes(name string, data []byte) Section {
	return Section{Name: name, Write: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// Write makes an executable file at path: the runtime, the sections in their order, then the programs of its
// instruction sets, the best set first. They are encoded when the sections have been written, so that these may still
// complete them. Write itself fills in the checksums of the weights and of their blocks.
//
// The file appears at path only when it is complete; on an error, or when ctx is canceled, what was at path before is
// untouched and nothing else stays behind. Memory use does not depend on the sizes of the sections.
func Write(ctx context.Context, path string, runtime []byte, sets []*Program, sections ...Section) error {
	f, err := output.CreateExecutable(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	if err := writeFile(ctx, bare{f}, runtime, sets, sections); err != nil {
		return &output.Error{Path: path, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return &output.Error{Path: path, Err: err}
	}
	return f.Close()
}

// bare is a file whose errors do not name it: Write does.
type bare struct{ f *output.File }

func (b bare) Write(p []byte) (int, error) {
	n, err := b.f.Write(p)
	if err != nil {
		err = output.Cause(err)
	}
	return n, err
}

func writeFile(ctx context.Context, f io.Writer, runtime []byte, sets []*Program, sections []Section) error {
	if err := validateSets(sets); err != nil {
		return err
	}
	w := &fileWriter{ctx: ctx, buf: &hugeWriter{to: f}, page: pageBytes(runtime, sets)}
	if err := w.section(Bytes(SectionRuntime, runtime), nil); err != nil {
		return err
	}
	sections = slices.Clone(sections)
	slices.SortStableFunc(sections, func(a, b Section) int { return order(a) - order(b) })
	deflated := false
	for _, s := range sections {
		deflated = deflated || s.Deflate
		if s.Name != SectionWeights {
			if s.Name == SectionCode || s.Name == SectionPTX {
				s = packed(sets, s)
			}
			if err := w.section(s, nil); err != nil {
				return err
			}
			continue
		}
		tensors, blocks := weightSums(sets[0].Weights), new(blockSums)
		if err := w.section(s, func(b []byte) { tensors(b); blocks.add(b) }); err != nil {
			return err
		}
		if err := w.section(Bytes(SectionSums, blocks.encode()), nil); err != nil {
			return err
		}
	}
	for _, p := range sets {
		if err := p.complete(); err != nil {
			return err
		}
		p.Weights = sets[0].Weights // with their checksums
		if err := p.fits(w.done); err != nil {
			return err
		}
	}
	if err := w.section(Bytes(SectionProgram, encode(sets, deflated)), nil); err != nil {
		return err
	}
	if _, err := w.buf.Write(appendTable(nil, w.page, w.done)); err != nil {
		return err
	}
	return w.buf.Flush()
}

// plain reports whether a section is code for processors as it is.
func (s Section) plain() bool { return s.Name == SectionCode && !s.Deflate }

// order is less for sections that are further to the front: those that begin at a page are behind what is padded to pages.
func order(s Section) int {
	switch {
	case s.plain():
		return 0
	case s.Name == SectionWeights:
		return 1
	}
	return 2
}

// fits checks what p says about code and weights against the sections there are.
func (p *Program) fits(sections []SectionInfo) error {
	if err := p.Validate(); err != nil {
		return err
	}
	size := map[string]int64{}
	for _, s := range sections {
		size[s.Name] = s.Bytes
	}
	if got := size[SectionWeights]; got != p.WeightBytes {
		return fmt.Errorf("program: the weights section has %d bytes, expected %d", got, p.WeightBytes)
	}
	for _, part := range p.Parts {
		if err := part.fits(size[p.Target.Kind.section()]); err != nil {
			return err
		}
		if part.plain() != p.plain() {
			return errors.New("program: some of its code is deflated and some is not")
		}
	}
	code := p.codeEnd()
	if p.Target.Kind == PTX {
		if p.Text.Bytes > code-p.Text.Offset {
			return fmt.Errorf("program: the module of %d bytes at %d lies outside the %d bytes of PTX", p.Text.Bytes, p.Text.Offset, code)
		}
		return nil
	}
	for _, k := range p.Kernels {
		if k.CodeOffset >= code {
			return fmt.Errorf("program: kernel %s at %d lies outside the %d bytes of code", k.Name, k.CodeOffset, code)
		}
	}
	if len(p.Kernels) > 0 && p.WorkerOffset >= code {
		return fmt.Errorf("program: the worker loop at %d lies outside the %d bytes of code", p.WorkerOffset, code)
	}
	return nil
}

// fileWriter writes sections and remembers their table entries.
type fileWriter struct {
	ctx    context.Context
	buf    *hugeWriter
	page   int64 // alignment of weights
	offset int64
	sum    uint32       // of the section being written
	also   func([]byte) // told of the section's bytes and of its padding, unless nil
	done   []SectionInfo
}

// Write implements io.Writer for the section being written.
func (w *fileWriter) Write(b []byte) (int, error) {
	total := 0
	for len(b) > 0 {
		if err := w.ctx.Err(); err != nil {
			return total, err
		}
		part := b[:min(len(b), 8<<20)]
		n, err := w.buf.Write(part)
		total += n
		w.offset += int64(n)
		if err != nil {
			return total, err
		}
		w.sum = crc32.Update(w.sum, crcTable(), part)
		if w.also != nil {
			w.also(part)
		}
		b = b[n:]
	}
	return total, nil
}

func (w *fileWriter) section(s Section, also func([]byte)) error {
	if len(s.Name) == 0 || len(s.Name) > nameBytes || bytes.IndexByte([]byte(s.Name), 0) >= 0 {
		return fmt.Errorf("section %q: expected a name of 1 to %d bytes", s.Name, nameBytes)
	}
	for _, d := range w.done {
		if d.Name == s.Name {
			return fmt.Errorf("section %s is given twice", s.Name)
		}
	}
	if len(w.done) == maxSections {
		return fmt.Errorf("section %s: there are %d sections already", s.Name, maxSections)
	}
	start := w.offset
	if s.Name == SectionWeights && start%w.page != 0 {
		return fmt.Errorf("section %s begins at %d, expected a multiple of %d", s.Name, start, w.page)
	}
	w.sum, w.also = 0, also
	if err := s.Write(w); err != nil {
		return fmt.Errorf("section %s: %w", s.Name, err)
	}
	info := SectionInfo{Name: s.Name, Offset: start, Bytes: w.offset - start, page: w.page}
	info.whole = s.Name == SectionRuntime || s.plain()
	if _, err := w.Write(make([]byte, info.padded()-info.Bytes)); err != nil {
		return fmt.Errorf("section %s: %w", s.Name, err)
	}
	info.Sum = w.sum
	w.done = append(w.done, info)
	return nil
}

// weightSums returns a function that is given the weights section piece by piece and computes the checksum of each
// weight. Weights may share bytes.
func weightSums(weights []Weight) func([]byte) {
	order := make([]*Weight, len(weights))
	for i := range weights {
		weights[i].Sum = 0
		order[i] = &weights[i]
	}
	sort.SliceStable(order, func(i, j int) bool { return order[i].Offset < order[j].Offset })
	offset := int64(0)
	return func(b []byte) {
		end := offset + int64(len(b))
		for _, w := range order {
			if w.Offset >= end {
				break
			}
			lo, hi := max(w.Offset, offset), min(w.Offset+w.Bytes, end)
			if lo < hi {
				w.Sum = crc32.Update(w.Sum, crcTable(), b[lo-offset:hi-offset])
			}
		}
		offset = end
	}
}
