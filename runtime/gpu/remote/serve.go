package remote

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"

	"pgc/runtime/gpu"
)

// server executes the calls of one client on one device.
type server struct {
	driver gpu.Driver
	device gpu.Device // nil until it is opened
	host   map[uint64][]byte
	last   uint64
	failed error // of calls that were not answered, until one is
}

// Serve executes the calls that come from a client until it hangs up.
func Serve(d gpu.Driver, in io.Reader, out io.Writer) error {
	s := &server{driver: d, host: map[uint64][]byte{}}
	buffer := bufio.NewWriter(out)
	decoder, encoder := gob.NewDecoder(bufio.NewReader(in)), gob.NewEncoder(buffer)
	for {
		var q request
		if err := decoder.Decode(&q); err != nil {
			if s.device != nil {
				s.device.Close()
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if !q.Op.answered() {
			if s.failed == nil {
				s.failed = s.queue(&q)
			}
			continue
		}
		var r reply
		err := s.failed
		if s.failed = nil; err == nil {
			err = s.answer(&q, &r)
		}
		r.Failure = failed(err)
		if err := encoder.Encode(&r); err != nil {
			return err
		}
		if err := buffer.Flush(); err != nil {
			return err
		}
	}
}

// memory is bytes of numbered host memory.
func (s *server) memory(p span) ([]byte, error) {
	m := s.host[p.Memory]
	if n := uint64(len(m)); p.Offset > n || p.Bytes > n-p.Offset {
		return nil, fmt.Errorf("bytes %d to %d of host memory %d, which has %d", p.Offset, p.Offset+p.Bytes, p.Memory, n)
	}
	return m[p.Offset:][:p.Bytes], nil
}

// queue executes a call that is not answered.
func (s *server) queue(q *request) error {
	d, a := s.device, q.Args
	if d == nil {
		return errors.New("no device is open")
	}
	stream := gpu.Stream(a[0])
	switch q.Op {
	case opEventRecord:
		return d.EventRecord(gpu.Event(a[1]), stream)
	case opMemcpyHtoD:
		m, err := s.memory(span{a[2], a[3], uint64(len(q.Data))})
		if err != nil {
			return err
		}
		copy(m, q.Data)
		return d.MemcpyHtoD(stream, gpu.Address(a[1]), m)
	case opMemcpyDtoH:
		m, err := s.memory(q.Fetch[0])
		if err != nil {
			return err
		}
		return d.MemcpyDtoH(stream, m, gpu.Address(a[1]))
	case opMemcpyDtoD:
		return d.MemcpyDtoD(stream, gpu.Address(a[1]), gpu.Address(a[2]), int64(a[3]))
	case opMemsetD8:
		return d.MemsetD8(stream, gpu.Address(a[1]), byte(a[2]), int64(a[3]))
	case opLaunchKernel:
		return d.LaunchKernel(stream, q.Launches[0])
	case opGraphLaunch:
		return d.GraphLaunch(gpu.Graph(a[1]), stream)
	}
	return fmt.Errorf("call %d is not known", q.Op)
}

// answer executes a call that is answered.
func (s *server) answer(q *request, r *reply) (err error) {
	a := q.Args
	if q.Op == opDevices {
		r.Infos, err = s.driver.Devices()
		return err
	}
	if q.Op == opOpen {
		if s.device, err = s.driver.Open(int(a[0])); err != nil {
			return err
		}
		r.Infos = []gpu.Info{s.device.Info()}
		return nil
	}
	d := s.device
	if d == nil {
		return errors.New("no device is open")
	}
	value := func(v uint64, err error) error { r.Values[0] = v; return err }
	switch q.Op {
	case opMemGetInfo:
		free, total, err := d.MemGetInfo()
		r.Values = [2]uint64{uint64(free), uint64(total)}
		return err
	case opMemAlloc:
		m, err := d.MemAlloc(int64(a[0]))
		return value(uint64(m), err)
	case opMemFree:
		return d.MemFree(gpu.Address(a[0]))
	case opMemHostAlloc:
		m, err := d.MemHostAlloc(int(a[0]))
		if err == nil {
			s.last++
			s.host[s.last] = m
		}
		return value(s.last, err)
	case opMemFreeHost:
		m := s.host[a[0]]
		delete(s.host, a[0])
		return d.MemFreeHost(m)
	case opLink:
		r.Data, err = d.Link(q.Data)
		return err
	case opModuleLoad:
		m, err := d.ModuleLoad(q.Data)
		return value(uint64(m), err)
	case opModuleUnload:
		return d.ModuleUnload(gpu.Module(a[0]))
	case opModuleGetFunction:
		f, err := d.ModuleGetFunction(gpu.Module(a[0]), string(q.Data))
		return value(uint64(f), err)
	case opOccupancy:
		n, err := d.Occupancy(gpu.Function(a[0]), int(a[1]), int64(a[2]))
		return value(uint64(n), err)
	case opStreamCreate:
		m, err := d.StreamCreate()
		return value(uint64(m), err)
	case opStreamDestroy:
		return d.StreamDestroy(gpu.Stream(a[0]))
	case opEventCreate:
		e, err := d.EventCreate()
		return value(uint64(e), err)
	case opEventDestroy:
		return d.EventDestroy(gpu.Event(a[0]))
	case opEventElapsed:
		t, err := d.EventElapsed(gpu.Event(a[0]), gpu.Event(a[1]))
		return value(uint64(t), err)
	case opGraphCreate:
		g, err := d.GraphCreate(q.Launches, q.Events)
		return value(uint64(g), err)
	case opGraphDestroy:
		return d.GraphDestroy(gpu.Graph(a[0]))
	case opClose:
		s.device = nil
		return d.Close()
	case opStreamSynchronize:
		err = d.StreamSynchronize(gpu.Stream(a[0]))
	case opEventSynchronize:
		err = d.EventSynchronize(gpu.Event(a[0]))
	default:
		return fmt.Errorf("call %d is not known", q.Op)
	}
	for _, p := range q.Fetch {
		m, wrong := s.memory(p)
		if err == nil {
			err = wrong
		}
		r.Data = append(r.Data, m...)
	}
	return err
}
