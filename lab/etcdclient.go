package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// txnOps is how many puts go into one transaction (etcd's --max-txn-ops).
const txnOps = 128

// tlsFor is the configuration of a client with a node's admin certificate.
func tlsFor(n nodeInfo) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(
		filepath.Join(n.certDir(), "admin-"+n.Name+".pem"), filepath.Join(n.certDir(), "admin-"+n.Name+"-key.pem"))
	if err != nil {
		return nil, fmt.Errorf("reading the admin certificate: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(n.certDir(), "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the authority's file holds no certificate")
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// dialEtcd makes a client of the given nodes' members.
func dialEtcd(nodes ...nodeInfo) (*clientv3.Client, error) {
	config, err := tlsFor(nodes[0])
	if err != nil {
		return nil, err
	}
	var endpoints []string
	for _, n := range nodes {
		endpoints = append(endpoints, n.clientURL())
	}
	c, err := clientv3.New(clientv3.Config{
		Endpoints: endpoints, TLS: config, DialTimeout: 2 * time.Second, Logger: zap.NewNop(),
		MaxCallSendMsgSize: 16 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("making an etcd client: %w", err)
	}
	return c, nil
}

// putAll writes pairs in transactions, some at once.
func putAll(ctx context.Context, c *clientv3.Client, pairs []pair) error {
	var batches [][]clientv3.Op
	for len(pairs) > 0 {
		n := min(txnOps, len(pairs))
		ops := make([]clientv3.Op, n)
		for i, p := range pairs[:n] {
			ops[i] = clientv3.OpPut(p.key, p.value)
		}
		batches = append(batches, ops)
		pairs = pairs[n:]
	}
	return parallel(len(batches), 4, func(i int) error {
		_, err := c.Txn(ctx).Then(batches[i]...).Commit()
		return err
	})
}

// each runs single operations, many at once, a revision each.
func eachOp(ctx context.Context, c *clientv3.Client, ops []clientv3.Op) error {
	return parallel(len(ops), 64, func(i int) error {
		_, err := c.Do(ctx, ops[i])
		return err
	})
}

// parallel runs f(0) … f(n-1), at most width at once, and returns the first
// error after all have ended.
func parallel(n, width int, f func(i int) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	places := make(chan struct{}, width)
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
		}
	}
	for i := range n {
		places <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-places }()
			defer func() {
				if r := recover(); r != nil {
					fail(fmt.Errorf("panic: %v", r))
				}
			}()
			if err := f(i); err != nil {
				fail(err)
			}
		}()
	}
	wg.Wait()
	return first
}
