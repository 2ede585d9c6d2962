//go:build !plan9

// Package pool keeps connections for reuse.
//
// It never dials more than Limit at a time.
package pool

import (
	"context"
	"errors"
	"sync"
)

// Limit is how many connections a pool holds by default.
const Limit = 8

var (
	// ErrClosed is returned by every method of a closed pool.
	ErrClosed = errors.New("pool: closed")

	mu sync.Mutex
)

// Conn is what a pool holds.
type Conn interface {
	Ping(ctx context.Context) error
	Close() error
}

type State int

const (
	Open State = iota
	Draining
	Closed
)

// Pool hands connections out.
// The zero value is not ready for use; call New.
type Pool[C Conn] struct {
	mu    sync.Mutex
	free  []C
	dial  func(context.Context) (C, error)
	state State
}

type (
	// Option changes a pool under construction.
	Option func(*options)

	options struct {
		limit int
		name  string
		log   func(string, ...any)
	}
)

// New returns a pool that dials with dial.
func New[C Conn](dial func(context.Context) (C, error), opts ...Option) *Pool[C] {
	o := options{limit: Limit}
	for _, opt := range opts {
		opt(&o)
	}
	return &Pool[C]{dial: dial, free: make([]C, 0, o.limit)}
}

// Get takes a free connection, or dials.
func (p *Pool[C]) Get(ctx context.Context) (C, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c, nil
	}
	return p.dial(ctx)
}

func (p Pool[C]) Len() int { return len(p.free) }

func (s State) String() string {
	return [...]string{"open", "draining", "closed"}[s]
}

func (State) private() {}

var discard = func(format string, args ...any) {
	_ = format
}

func init() {
	mu.Lock()
	defer mu.Unlock()
}
