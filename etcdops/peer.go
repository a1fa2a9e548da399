package etcdops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/novatui/novatui/remote"
)

// A member that was restarted without quorum says nothing on its client port,
// but its peer port still tells the membership it knows (/members) and its
// version (/version): measured on 3.6.14, facts-etcd pitfall 2.

// maxPeerAnswer bounds an answer of the peer port, in bytes.
const maxPeerAnswer = 1 << 20

// peerView is what the peer port told.
type peerView struct {
	members   []Member
	clusterID string
	version   string
}

// askPeer asks a member's peer port through the node's tunnel.
func askPeer(
	ctx context.Context, peerURL string, dial dialFunc, id identity, now func() time.Time, limit time.Duration,
) (peerView, error) {
	var v peerView
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	u, err := url.Parse(peerURL)
	if err != nil || u.Host == "" {
		return v, fmt.Errorf("peer URL %q cannot be read", peerURL)
	}
	id.host = u.Hostname()
	secure, err := id.config(now)
	if err != nil {
		return v, err
	}
	secure.NextProtos = nil
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dial(ctx, network, addr)
		},
		TLSClientConfig: secure, TLSHandshakeTimeout: limit,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	var members []wireMember
	header, err := getJSON(ctx, client, u.JoinPath("members").String(), &members)
	if err != nil {
		return v, err
	}
	for _, m := range wireMembers(members) {
		v.members = append(v.members, cleanMember(m))
	}
	if n, err := strconv.ParseUint(header.Get("X-Etcd-Cluster-ID"), 16, 64); err == nil {
		v.clusterID = hexID(n)
	}
	var version struct {
		Server string `json:"etcdserver"`
	}
	if _, err := getJSON(ctx, client, u.JoinPath("version").String(), &version); err == nil {
		v.version = remote.Clean(version.Server)
	}
	return v, nil
}

func getJSON(ctx context.Context, client *http.Client, url string, into any) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", url, err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the peer port: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking %s: %s", url, remote.Clean(res.Status))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPeerAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", url, err)
	}
	if len(body) > maxPeerAnswer {
		return nil, errors.New("the peer port's answer is too long")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	return res.Header, nil
}
